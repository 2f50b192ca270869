"""When a store is built, found again, or refused."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.load import dump
from distributed_hbt.config.model import ModelConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.store import open_store, prepare_store
from distributed_hbt.errors import DataError
from distributed_hbt.models.text import TextEncoder

MakeRun = Callable[..., RunConfig]
Row = Callable[..., dict[str, Any]]
ROOT = Path(__file__).resolve().parents[4]
RANK = """
import logging, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO, format="%(message)s")
from distributed_hbt.config.load import load_run
from distributed_hbt.data.store import prepare_store
from distributed_hbt.data.trained_tokenizer import prepare_tokenizer
from distributed_hbt.models.text import TextEncoder
config, folder = load_run(Path(sys.argv[1])), Path(sys.argv[2])
store = prepare_store(config, TextEncoder(prepare_tokenizer(config, folder), config.model), folder)
print(store.fingerprint, store.counts["query_tokens"], store.query_tokens(0).tolist())
"""


def fingerprint(config: RunConfig, texts: TextEncoder, folder: Path) -> str:
    return prepare_store(config, texts, folder).fingerprint


def test_two_ranks_at_once_build_one_tokenizer_and_one_store(
    make_run: MakeRun, row: Row, tmp_path: Path
) -> None:
    """Each rank starts at the same moment; both building would cost hours or mix their files."""
    config = make_run([row(f"g{i}", f"query {i}", "en-en", [f"some text {i}"]) for i in range(3000)])
    (tmp_path / "run.yaml").write_text(dump(config))
    command = [sys.executable, "-c", RANK, str(tmp_path / "run.yaml"), str(tmp_path / "stores")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    ranks = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(2)]
    outputs = [rank.communicate(timeout=120) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0] != ""
    messages = "".join(output[1] for output in outputs).splitlines()
    assert sum(line.startswith("building ") for line in messages) == 2
    folders = sorted(path.name for path in (tmp_path / "stores").iterdir() if path.is_dir())
    assert len([name for name in folders if name != "digests"]) == 2
    assert any(name.startswith("tokenizer-") for name in folders)


def test_the_fingerprint_follows_content_and_not_place(
    make_run: MakeRun, row: Row, texts: TextEncoder, tmp_path: Path
) -> None:
    """A moved data set would be tokenized again; a changed one would not be."""
    rows = [row("a", "one", "en-en", ["first"]), row("b", "two", "en-en", ["second"])]
    here = fingerprint(make_run(rows, folder="here"), texts, tmp_path / "one")
    there = fingerprint(make_run(rows, folder="there"), texts, tmp_path / "two")
    assert here == there
    changed = [rows[0], row("b", "two", "en-en", ["seconds"])]
    assert fingerprint(make_run(changed, folder="changed"), texts, tmp_path / "one") != here
    assert fingerprint(make_run(rows[::-1], folder="turned"), texts, tmp_path / "one") != here
    split = make_run(rows[:1], rows[1:], folder="split")
    assert fingerprint(split, texts, tmp_path / "one") != here


def test_a_file_changed_in_place_is_another_store(
    make_run: MakeRun, row: Row, texts: TextEncoder, tmp_path: Path
) -> None:
    """The digest of a file of the same size and time must not be taken for its content."""
    config = make_run([row("a", "one", "en-en", ["first"])])
    path = Path(config.data.sources[0].path)  # type: ignore[union-attr]
    os.utime(path, (1_000_000_000, 1_000_000_000))
    before = fingerprint(config, texts, tmp_path / "stores")
    path.write_text(path.read_text().replace("first", "fired"))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert fingerprint(config, texts, tmp_path / "stores") != before


def test_the_fingerprint_follows_the_tokens(
    make_run: MakeRun, row: Row, texts: TextEncoder, tokenizer: Any, tmp_path: Path
) -> None:
    """A run with another prompt or length would train on the tokens of the last one."""
    config = make_run([row("a", "one", "en-en", ["first"])])
    before = fingerprint(config, texts, tmp_path)
    for change in ({"query_prompt": "Q: "}, {"max_passage_length": 99}, {"append_eos": False}):
        model = ModelConfig(architecture={"model_type": "qwen3"}, tokenizer="any", **change)  # type: ignore[arg-type]
        assert fingerprint(config, TextEncoder(tokenizer, model), tmp_path) != before


def test_settings_follow_only_where_they_matter(
    make_run: MakeRun, row: Row, texts: TextEncoder, tmp_path: Path
) -> None:
    """Weights and the number of hard negatives are the batch plan's: no reason to tokenize again."""
    rows = [row("a", "one", "en-en", ["first"])]
    config = make_run(rows)
    before = fingerprint(config, texts, tmp_path / "stores")
    source = config.data.sources[0]
    for change, same in (({"weight": 2.0}, True), ({"group_namespace": "mine"}, False)):
        data = config.data.model_copy(update={"sources": (source.model_copy(update=change),)})
        changed = config.model_copy(update={"data": data})
        assert (fingerprint(changed, texts, tmp_path / "stores") == before) == same
    assert fingerprint(make_run(rows, num_hard_negatives=3), texts, tmp_path / "stores") == before


def test_too_many_bad_rows_leave_nothing_behind(
    make_run: MakeRun, row: Row, texts: TextEncoder, tmp_path: Path
) -> None:
    """The next start would find a store of the good half and train on it."""
    rows = [row("a", "one", "en-en", ["first"]), '{"group_id": "b"}']
    with pytest.raises(DataError, match=r"rows0\.jsonl:2: 1 of 2 rows are unusable"):
        prepare_store(make_run(rows), texts, tmp_path / "stores")
    left = [path.name for path in (tmp_path / "stores").iterdir() if not path.name.endswith(".lock")]
    assert left in ([], ["digests"])


def test_a_store_with_allowed_bad_rows_is_refused_to_a_stricter_run(
    make_run: MakeRun, row: Row, texts: TextEncoder, tmp_path: Path
) -> None:
    """The share is no part of the fingerprint, so a found store must be held to it too."""
    rows = [row("a", "one", "en-en", ["first"]), '{"group_id": "b"}']
    store = prepare_store(make_run(rows, max_bad_share=0.5), texts, tmp_path)
    assert store.counts["rows"] == 1
    with pytest.raises(DataError, match="1 of 2 rows are unusable"):
        prepare_store(make_run(rows, max_bad_share=0.1), texts, tmp_path)


def test_no_usable_row_is_an_error(make_run: MakeRun, texts: TextEncoder, tmp_path: Path) -> None:
    """An empty store would fail later, in the batch plan, with no word of the rows."""
    with pytest.raises(DataError, match=r"data\.sources: none of the rows is usable"):
        prepare_store(make_run(["{}"], max_bad_share=1.0), texts, tmp_path / "stores")


def test_a_truncated_store_is_refused_when_opened_and_built_anew_when_prepared(
    make_run: MakeRun, row: Row, texts: TextEncoder, tmp_path: Path
) -> None:
    """A file cut short by a full disk gives wrong tokens or a crash of the whole process."""
    config = make_run([row(f"g{i}", f"query {i}", "en-en", [f"text {i}"]) for i in range(5)])
    store = prepare_store(config, texts, tmp_path / "stores")
    tokens = store.passage_tokens(4).tolist()
    folder = tmp_path / "stores" / store.fingerprint
    del store
    (data,) = (folder / "passages").glob("*.arrow")
    whole = data.read_bytes()
    # Replaced, not shortened in place: another process may have the file mapped.
    data.unlink()
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"is damaged \(passages/data.*; delete it; it is built anew"):
        open_store(folder)
    assert prepare_store(config, texts, tmp_path / "stores").passage_tokens(4).tolist() == tokens
    shutil.rmtree(folder / "index")
    with pytest.raises(DataError, match="has lost index/"):
        open_store(folder)


def test_data_that_changes_while_it_is_read_is_refused(
    make_run: MakeRun, row: Row, texts: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store under the fingerprint of the old content would hold half of the new one."""
    config = make_run([row("a", "one", "en-en", ["first"])])
    path = Path(config.data.sources[0].path)  # type: ignore[union-attr]
    queries = texts.queries

    def changing(batch: Any) -> Any:
        path.write_text(path.read_text().replace("first", "other"))
        return queries(batch)

    monkeypatch.setattr(texts, "queries", changing)
    with pytest.raises(DataError, match="files changed while they were read"):
        prepare_store(config, texts, tmp_path / "stores")
    assert [path.name for path in (tmp_path / "stores").iterdir() if path.is_dir()] == []
