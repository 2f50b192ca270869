"""Mining broken off, begun again, refused, and read by what comes after it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distributed_hbt.config.load import validate
from distributed_hbt.data.example import Example
from distributed_hbt.data.sources import read_source
from distributed_hbt.data.store.prepare import prepare_store
from distributed_hbt.errors import ConfigError, DataError
from distributed_hbt.evaluation.encoder_choice import encoder_choice
from distributed_hbt.evaluation.jobs.job import Job
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.mining.mine import mine
from distributed_hbt.models.saved import load_encoder
from tests.corpus_files import passage
from tests.unit.mining.bench import ROWS, Backwards, Bench, Row, negatives, row


def test_the_bytes_depend_on_no_order_of_jobs(bench: Bench) -> None:
    """Catches negatives that change with the number of workers, and a time stamp in the gzip file."""
    config = bench.config(choice="random", absolute_margin=0.001)
    bench.mine(config, "one.jsonl.gz")
    bench.mine(config, "two.jsonl.gz", Backwards())
    assert (bench.folder / "one.jsonl.gz").read_bytes() == (bench.folder / "two.jsonl.gz").read_bytes()


@pytest.mark.parametrize("jobs_done", [0, 1, 5, 9])
def test_a_killed_run_goes_on_from_what_is_done(bench: Bench, jobs_done: int) -> None:
    """Catches work that is done again, half a file in place, and a second run that gives something else."""
    config = bench.config(absolute_margin=0.001)
    bench.mine(config, "clean.jsonl")
    killed = Backwards(stop_after=jobs_done)
    with pytest.raises(KeyboardInterrupt):
        bench.mine(config, executor=killed)
    assert not (bench.folder / "out.jsonl").exists()
    again = Backwards()
    bench.mine(config, executor=again)
    # The survey of files that are written anew is taken again; nothing that was encoded is.
    assert not {path for path in killed.ran if path.parent.name != "corpora"} & set(again.ran)
    assert (bench.folder / "out.jsonl").read_bytes() == (bench.folder / "clean.jsonl").read_bytes()


def test_other_rows_or_rules_do_not_take_over_what_a_killed_run_left(bench: Bench) -> None:
    """Catches hits of the rows as they were before the user mended them."""
    with pytest.raises(KeyboardInterrupt):
        bench.mine(bench.config(), executor=Backwards(stop_after=12))
    changed = [row(f"g{n}", query=f"winter {n}") for n in range(10)]
    config = bench.config(changed, depth=5)
    first, _ = bench.mine(config)
    second, _ = bench.mine(config, "clean.jsonl")
    assert first == second


def test_a_mistake_in_the_second_command_costs_nothing(bench: Bench) -> None:
    """Catches the hours of a killed run removed because the next command had a wrong setting."""
    killed = Backwards(stop_after=12)
    with pytest.raises(KeyboardInterrupt):
        bench.mine(bench.config(), executor=killed)
    with pytest.raises(ConfigError, match="leaves nothing to search"):
        bench.mine(bench.config(corpus={"fi": str(bench.folder / "rows.jsonl")}, language="same"))
    again = Backwards()
    bench.mine(bench.config(), executor=again)
    assert not {path for path in killed.ran if path.parent.name != "corpora"} & set(again.ran)


def test_a_language_that_no_folder_can_be_named_by_is_refused(bench: Bench) -> None:
    """Catches a code with slashes in it that leads out of the folder which is removed at the end."""
    config = bench.config([row("g1"), row("g2"), row("g3") | {"passage_language": "../../x"}])
    out = bench.folder / "deep" / "out.jsonl"
    with pytest.raises(DataError, match=r"rows.jsonl:3: .*'../../x', no code of a language"):
        mine(config, bench.encoder(config), out, LocalExecutor("cpu"))
    assert {path.name for path in bench.folder.iterdir()} - {"runs", "deep"} == {"rows.jsonl"}
    assert not out.exists()


def test_a_random_choice_is_the_row_s_own(bench: Bench) -> None:
    """Catches one generator for all rows: with other rows before it a row would get other negatives."""
    config = bench.config(choice="random")
    mined, _ = bench.mine(config)
    shuffled = ROWS[::-1]
    again, _ = bench.mine(bench.config(shuffled, choice="random"))
    assert [set(negatives(one)) for one in again[::-1]] == [set(negatives(one)) for one in mined]
    assert len({name for one in mined for name in negatives(one)}) > 35  # of 62: not the same lots for all
    other, _ = bench.mine(bench.config(choice="random", seed=14))
    assert [negatives(one) for one in other] != [negatives(one) for one in mined]


def test_both_formats_and_the_store_read_what_is_written(bench: Bench) -> None:
    """Catches a field under another name, a null where a reader wants a text, and negatives that the store
    throws away as positives."""
    mined, _ = bench.mine(bench.config())
    out = str(bench.folder / "out.jsonl")
    content = json.loads(bench.config().model_dump_json())
    for source in (
        {"format": "hbt_jsonl", "path": out},
        {"format": "tevatron", "path": out, "query_language": "en", "passage_language": "en"},
    ):
        config = validate({**content, "data": {"sources": [source]}})
        rows = list(read_source(config.data.sources[0], 0))
        assert all(isinstance(one, Example) for one in rows)
        examples = [one for one in rows if isinstance(one, Example)]
        assert [[n.docid for n in one.negatives] for one in examples] == [negatives(one) for one in mined]
        assert len({one.group_id for one in examples}) == len({one["group_id"] for one in ROWS})
        texts = load_encoder(bench.checkpoint / "encoder").texts
        store = prepare_store(config, texts, bench.folder / "stores" / source["format"])
        assert store.bad_rows.bad == 0
        negative_texts = {(one["group_id"], n["text"]) for one in mined for n in one["negative_passages"]}
        kept = np.load(next(store_folder(bench.folder / "stores" / source["format"], "negative_values")))
        if source["format"] == "tevatron":  # one language pair: all negatives of a group are one list
            assert len(kept) == len(negative_texts)


def store_folder(folder: Path, name: str) -> Any:
    return folder.glob(f"*/index/{name}.npy")


def test_a_single_pair_is_read_as_tevatron(bench: Bench) -> None:
    """Catches query ids that part the rows of one group."""
    rows = [row("g1"), row("g1", positive_passages=[passage("p2", "two")]), row("g2"), row("g3")]
    mined, _ = bench.mine(bench.config(rows))
    assert [one["query_id"] for one in mined] == ["g1", "g1", "g2", "g3"]
    assert all({"p2", "p-g1-en"}.isdisjoint(negatives(one)) for one in mined[:2])


def test_rows_that_get_less_are_counted(bench: Bench) -> None:
    """Catches rows without negatives that nobody hears of."""
    rows = [row("g1"), row("g2"), row("g3", "sw-sw", negative_passages=[])]
    mined, summary = bench.mine(bench.config(rows, language="same"))
    assert [len(one["negative_passages"]) for one in mined] == [3, 3, 0]
    assert (summary.short, summary.empty) == (3, {"sw-sw": 1})
    assert summary.mean == 2.0


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([row("g1"), row("g2")], {"language": "other"}, "mining.language: other leaves nothing to search"),
        ([row("g1", "sw-en")], {"language": "same"}, "queries in sw, passages in en; choose another"),
    ],
)
def test_languages_that_leave_nothing_are_refused(
    bench: Bench, rows: list[Row], settings: dict[str, Any], message: str
) -> None:
    """Catches a run that encodes everything and then writes rows without a negative."""
    with pytest.raises(ConfigError, match=message):
        bench.mine(bench.config(rows, **settings))


def test_a_dimension_that_the_encoder_lacks_is_refused_before_the_data_is_read(bench: Bench) -> None:
    """Catches hours of reading before the first shard fails."""
    settings = bench.config().evaluation.model_copy(update={"dimension": 33})
    with pytest.raises(ConfigError, match=r"evaluation\.dimension: 33 is more than the embedding's 32; "):
        encoder_choice(settings, bench.checkpoint)
    assert encoder_choice(settings.model_copy(update={"dimension": 32}), bench.checkpoint).dimension == 32


def test_two_runs_into_one_file_do_not_meet(bench: Bench) -> None:
    """Catches the first that ends and takes the work folder from under the second."""

    class Meanwhile(Backwards):
        def run(self, jobs: Sequence[Job], label: str) -> None:
            with pytest.raises(ConfigError, match="another process mines into"):
                bench.mine(bench.config())
            super().run(jobs, label)

    bench.mine(bench.config(), executor=Meanwhile())


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the choice blind to known positives."""

    def blind() -> None:
        monkeypatch.setattr("distributed_hbt.mining.known.KnownPositives.most", lambda *_: 50)
        monkeypatch.setattr("distributed_hbt.mining.choose._no_candidate", lambda *_: None)

    return blind


def test_the_last_look_stops_what_the_rules_let_through(bench: Bench, planted: Callable[[], None]) -> None:
    """Catches a promise that only the code that may break it looks after."""
    planted()
    with pytest.raises(Exception, match="is a known positive of group"):
        bench.mine(bench.config())
    assert not (bench.folder / "out.jsonl").exists()
