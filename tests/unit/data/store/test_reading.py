"""What a store gives back of the rows it was built from."""

import math
import mmap
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.store import Store, prepare_store
from distributed_hbt.models.text import TextEncoder

MakeRun = Callable[..., RunConfig]
Row = Callable[..., dict[str, Any]]


@pytest.fixture
def build(make_run: MakeRun, texts: TextEncoder, tmp_path: Path) -> Callable[..., Store]:
    def built(*sources: Any, **data: Any) -> Store:
        return prepare_store(make_run(*sources, **data), texts, tmp_path / "stores")

    return built


def test_tokens_come_back_as_the_text_encoder_made_them(
    build: Callable[..., Store], row: Row, texts: TextEncoder
) -> None:
    """2,500 rows are three record batches: a wrong offset at a border gives another row's tokens."""
    rows = [row(f"g{i}", f"query {i}", "en-en", [f"text {i} " + "word " * (i % 7)]) for i in range(2500)]
    store = build(rows)
    for i in (0, 1, 998, 999, 1000, 1001, 1999, 2000, 2499):
        assert store.query_tokens(i).tolist() == texts.queries([f"query {i}"])[0]
        (passage,) = store.positives(i).tolist()
        expected = texts.passages([f"text {i} " + "word " * (i % 7)])[0]
        assert store.passage_tokens(passage).tolist() == expected
        assert store.passage_lengths[passage] == len(expected)
        assert store.query_lengths[i] == len(store.query_tokens(i))
        assert store.where(i).endswith(f"rows0.jsonl:{i + 1}")
        assert store.group_name(i) == f"hbt_jsonl/g{i}"
    with pytest.raises(IndexError):
        store.query_tokens(2500)
    with pytest.raises(IndexError):
        store.query_tokens(-1)


def test_title_and_text_are_one_passage_with_its_prompt(
    build: Callable[..., Store], row: Row, texts: TextEncoder
) -> None:
    """A store that drops the title trains on other passages than evaluation encodes."""
    store = build([row("g", "why", "en-en", [{"docid": "d7", "title": "Rain", "text": "It rains."}])])
    assert store.passage_tokens(0).tolist() == texts.passages(["Rain It rains."])[0]
    assert store.docid(0) == "d7"


def test_a_text_is_stored_once_and_titles_tell_texts_apart(build: Callable[..., Store], row: Row) -> None:
    """Hard negatives repeat thousands of times; two titles over one text are two passages."""
    store = build(
        [
            row("a", "one", "en-en", ["first"], ["second", "third"]),
            row("b", "two", "en-en", ["second"], ["first", {"title": "T", "text": "third"}]),
        ]
    )
    assert store.counts["passages"] == 4
    assert store.positives(0).tolist() == [0]
    assert store.negatives(0).tolist() == [1, 2]
    assert store.positives(1).tolist() == [1]
    assert store.negatives(1).tolist() == [0, 3]


def test_rows_of_a_group_and_passage_language_become_one_answer(
    build: Callable[..., Store], row: Row
) -> None:
    """Rows that are kept apart would offer the positive of one as the negative of the other."""
    store = build(
        [
            row("g", "why", "en-en", ["rain"], ["snow", "wet"]),
            row("h", "how", "en-en", ["sun"]),
            row("g", "warum", "de-en", ["wet", "rain"], ["snow", "Regen", "hail"]),
            row("g", "warum", "de-de", ["Regen"], ["rain", "Schnee"]),
            row("g", "why", "en-de", ["Regen", "Nass"], ["Schnee"]),
        ]
    )
    index = store.index
    assert index.languages == ("de", "en")
    assert index.query_group.tolist() == [0, 1, 0]
    assert index.query_language.tolist() == [1, 1, 0]
    assert index.answer_group.tolist() == [0, 0, 1]
    assert index.answer_language.tolist() == [0, 1, 1]
    text = {0: "rain", 1: "snow", 2: "wet", 3: "sun", 4: "Regen", 5: "hail", 6: "Schnee", 7: "Nass"}
    assert [text[i] for i in store.positives(0).tolist()] == ["Regen", "Nass"]
    assert [text[i] for i in store.positives(1).tolist()] == ["rain", "wet"]
    assert [text[i] for i in store.negatives(0).tolist()] == ["Schnee"]
    assert [text[i] for i in store.negatives(1).tolist()] == ["snow", "hail"]
    assert {text[i] for i in store.group_positives(0).tolist()} == {"rain", "wet", "Regen", "Nass"}
    assert store.group_positives(1).tolist() == [3]
    assert store.counts["pairs"] == {"de-de": 1, "de-en": 1, "en-de": 1, "en-en": 2}


def test_passages_stay_in_the_order_of_the_data(build: Callable[..., Store], row: Row) -> None:
    """The first positive is the one that a query is compared with, to tell a text that answers itself."""
    first = row("a", "one", "en-en", ["x", "y"], ["z"])
    store = build([first, row("b", "two", "en-en", ["w", "y", "w"], ["z", "v", "x"])])
    text = {0: "x", 1: "y", 2: "z", 3: "w", 4: "v"}
    assert [text[i] for i in store.positives(1).tolist()] == ["w", "y"]
    assert [text[i] for i in store.negatives(1).tolist()] == ["z", "v", "x"]
    turned = build([first, row("b", "y", "en-en", ["y", "x"], ["x"])])
    assert turned.positives(1).tolist() == [1, 0]
    assert turned.index.query_key[1] == turned.index.answer_key[1]


def test_a_query_of_two_sources_is_an_entry_of_each(build: Callable[..., Store], row: Row) -> None:
    """Source weights would lose the rows of the second source."""
    same = row("g", "why", "en-en", ["rain"])
    store = build([same, same], [same])
    assert store.index.query_source.tolist() == [0, 1]
    assert store.index.query_group.tolist() == [0, 0]
    assert store.counts["queries_per_source"] == [1, 1]


def test_scores_stay_with_their_passages(build: Callable[..., Store], row: Row) -> None:
    """Scores that lose their order after the positives are taken out teach nonsense."""
    negatives = [
        {"text": "a", "score": 0.5},
        {"text": "rain", "score": 9.0},
        {"text": "b", "score": 0.25},
        "c",
    ]
    store = build([row("g", "why", "en-en", ["rain"], negatives)])
    assert math.isnan(store.positive_scores(0)[0])
    assert store.negatives(0).tolist() == [1, 2, 3]
    assert store.negative_scores(0)[:2].tolist() == [0.5, 0.25]
    assert math.isnan(store.negative_scores(0)[2])


def test_a_text_that_answers_itself_has_equal_keys(build: Callable[..., Store], row: Row) -> None:
    """A parallel sentence would be trained to find itself."""
    titled = {"title": "T", "text": "Guten Tag"}
    store = build([row("g", "Good day", "en-en", ["Good day"]), row("g", "Guten Tag", "de-de", [titled])])
    index = store.index
    assert index.query_key[0] == index.answer_key[1]
    assert index.query_key[1] == index.answer_key[0]
    assert index.query_key[0] != index.query_key[1]
    assert store.counts["pairs"] == {"de-en": 1, "en-de": 1}


def test_nothing_of_the_store_is_read_into_memory(build: Callable[..., Store], row: Row) -> None:
    """Eight ranks a node would hold eight copies of the tokens."""
    store = build([row(f"g{i}", f"query {i}", "en-en", [f"text {i}"]) for i in range(3)])
    for array in (store.index.query_group, store.passage_lengths, store.positives(0)):
        base: Any = array
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base, mmap.mmap)
    import pyarrow

    before = pyarrow.total_allocated_bytes()
    tokens = [store.passage_tokens(i) for i in range(3)]
    assert pyarrow.total_allocated_bytes() == before
    assert not any(array.flags.owndata or array.flags.writeable for array in tokens)


def test_the_parts_are_hugging_face_datasets(
    build: Callable[..., Store], row: Row, tmp_path: Path, texts: TextEncoder
) -> None:
    """Users look into a store with the library that they know."""
    from datasets import load_from_disk

    store = build([row("g", "why", "en-en", [{"docid": "d1", "text": "rain"}])])
    folder = tmp_path / "stores" / store.fingerprint
    passages = load_from_disk(str(folder / "passages"))
    assert passages[0] == {"input_ids": texts.passages(["rain"])[0], "docid": "d1"}
    assert load_from_disk(str(folder / "groups"))["group_id"][:] == ["hbt_jsonl/g"]
    assert load_from_disk(str(folder / "queries")).column_names == ["input_ids", "where"]


def test_each_source_is_counted_by_itself(build: Callable[..., Store], row: Row) -> None:
    """Sources whose counts run together, or a group counted once for each language."""
    one = [
        row(f"g{i}", f"{code} {i}", f"{code}-{code}", [f"{code} text {i}"])
        for i in range(3)
        for code in ("de", "en")
    ]
    other = [row("h", "why", "en-en", ["since"]), row("g0", "pourquoi", "fr-fr", ["car"])]
    store = build(one, other)
    assert store.source_counts() == [
        {"queries": 6, "groups": 3, "queries_per_language": {"de": 3, "en": 3}},
        {"queries": 2, "groups": 2, "queries_per_language": {"en": 1, "fr": 1}},
    ]


def test_rows_are_named_by_a_fingerprint_that_no_tokenizer_changes(
    make_run: MakeRun, row: Row, texts: TextEncoder, tokenizer: Any, tmp_path: Path
) -> None:
    """Runs on the same data with other prompts that can not be found together; a source that hides behind
    another one."""
    rows = [row("g", "why", "en-en", ["since"])]
    shorter = TextEncoder(tokenizer, texts.settings.model_copy(update={"max_query_length": 20}))  # type: ignore[attr-defined]
    one = prepare_store(make_run(rows), texts, tmp_path / "stores")
    other = prepare_store(make_run(rows, folder="moved"), shorter, tmp_path / "stores")
    assert one.fingerprint != other.fingerprint
    assert one.data_fingerprint == other.data_fingerprint
    assert one.source_digests == other.source_digests
    more = prepare_store(make_run(rows, [row("h", "how", "en-en", ["so"])]), texts, tmp_path / "stores")
    assert more.data_fingerprint != one.data_fingerprint
    assert more.source_digests[0] == one.source_digests[0] != more.source_digests[1]


def test_reading_imports_neither_pandas_nor_datasets(build: Callable[..., Store], row: Row) -> None:
    """A second of every rank's start."""
    store = build([row("g", "query", "en-en", ["text"])])
    code = f"""
import sys
from pathlib import Path
from distributed_hbt.data.store import open_store
store = open_store(Path({str(store._folder)!r}))
store.query_tokens(0), store.passage_tokens(0), store.where(0), store.docid(0), store.group_name(0)
print(sorted({{"pandas", "datasets"}} & {{*sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
