"""A checkpoint evaluated end to end, with a tiny random encoder."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest

from distributed_hbt.config.evaluation import EvaluationConfig, XquadRBenchmark
from distributed_hbt.errors import CheckpointError, ConfigError
from distributed_hbt.evaluation.benchmarks.lareqa import load_lareqa
from distributed_hbt.evaluation.encoder_choice import encoder_folder
from distributed_hbt.evaluation.evaluate import evaluate_checkpoint
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.evaluation.score import score_run
from tests.tiny_encoder import write_checkpoint

LANGUAGES = ("en", "th", "zh")


def evaluate(config: EvaluationConfig, checkpoint: Path, out: Path, again: bool = False) -> list[Path]:
    stores = out.parent / "stores"
    return evaluate_checkpoint(
        config, checkpoint, out, stores=stores, executor=LocalExecutor("cpu"), again=again
    )


@pytest.fixture(scope="module")
def texts(shared_data: Path) -> list[str]:
    collection = load_lareqa(shared_data / "xquad-r", LANGUAGES, article_range=(38, 39))
    return [entry.text for language in LANGUAGES for entry in collection.candidates[language]]


@pytest.fixture(scope="module")
def checkpoint(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "step-00000100", texts)


@pytest.fixture(scope="module")
def config(shared_data: Path) -> EvaluationConfig:
    benchmark = XquadRBenchmark(
        name="xquad_r", root=str(shared_data / "xquad-r"), languages=LANGUAGES, article_range=(38, 40)
    )
    return EvaluationConfig(depth=5, benchmarks=(benchmark,), max_tokens_per_batch=2048)


@pytest.fixture(scope="module")
def result(config: EvaluationConfig, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluation")
    paths = evaluate(config, checkpoint, out)
    assert paths == [out / "xquad_r" / "summary.json"]
    assert [path.name for path in out.iterdir()] == ["xquad_r"]  # nothing partial is left
    return out / "xquad_r"


def test_the_summary_says_what_was_measured(result: Path, checkpoint: Path) -> None:
    """Catches figures whose settings nobody can tell afterwards."""
    summary = json.loads((result / "summary.json").read_text())
    assert summary["benchmark"] == "xquad_r"
    assert (summary["checkpoint"], summary["step"]) == (str(checkpoint), 100)
    assert (summary["candidate"], summary["languages"]) == ("sentence", ["en", "th", "zh"])
    assert (summary["article_range"], summary["dimension"], summary["depth"]) == ([38, 40], None, 5)
    assert summary["encoder"]["embedding_dimension"] == 32
    assert len(summary["tasks"]) == 3 + 6 + 3
    assert list(summary["tasks"])[:4] == ["mono/en", "mono/th", "mono/zh", "cross/en-th"]
    assert set(summary["tasks"]["mono/en"]["measures"]) == {"AP", "R@1", "R@10", "nDCG@10", "RR@10"}
    assert list(summary["aggregates"]) == [
        *("mono", "cross", "multi", "pool", "rank_distance", "max_rank", "rank_correlation", "peer")
    ]
    assert 0 < summary["aggregates"]["multi"]["AP"] < 1


def test_measures_of_the_run_files_equal_the_summary(
    result: Path, config: EvaluationConfig, tmp_path: Path
) -> None:
    """Catches a summary and run files of different rankings; the runs are cut to depth 5."""
    summary = json.loads((result / "summary.json").read_text())
    benchmark = config.benchmarks[0]
    collection = load_lareqa(Path(benchmark.root), LANGUAGES, article_range=benchmark.article_range)
    for name, task in summary["tasks"].items():
        kind, _, languages = name.partition("/")
        query_language, _, passage_language = languages.partition("-")
        passages = LANGUAGES if kind == "multi" else (passage_language or query_language,)
        qrels = tmp_path / "qrels"
        qrels.write_text(
            "".join(
                f"{query.id} 0 {doc_id} 1\n"
                for query in collection.queries[query_language]
                for doc_id in collection.qrels[query.id]
                if doc_id.partition(":")[0] in passages
            )
        )
        score = score_run(
            qrels, result / "runs" / f"{name}.trec.gz", ["AP", "R@1", "R@10", "nDCG@10", "RR@10"]
        )
        of_language_bias = ("RD", "Max@R", "MRC", "PEER")
        expected = {name: value for name, value in task["measures"].items() if name not in of_language_bias}
        assert score.measures == pytest.approx(expected, abs=1e-12)
        assert score.num_queries == task["num_queries"]


def test_values_per_query_have_the_means_of_the_summary(result: Path) -> None:
    """Catches a table that a paired test could not use."""
    summary = json.loads((result / "summary.json").read_text())
    table = pyarrow.parquet.read_table(result / "per_query.parquet").to_pandas()
    assert list(table.columns) == ["task", "query_id", "measure", "value"]
    means = table.groupby(["task", "measure"])["value"].mean()
    for name, task in summary["tasks"].items():
        for measure in task["measures"].keys() - {"PEER"}:  # which is no mean of queries
            assert means[name, measure] == pytest.approx(task["measures"][measure])
    distances = table[table.measure == "RD"]
    assert set(distances.task) == {"multi/en", "multi/th", "multi/zh"}
    per_language = distances.groupby("task")["value"].mean()
    assert summary["aggregates"]["rank_distance"] == pytest.approx(per_language.mean())
    of_tasks = [summary["tasks"][f"multi/{language}"]["measures"]["PEER"] for language in LANGUAGES]
    assert summary["aggregates"]["peer"] == pytest.approx(sum(of_tasks) / 3)


def test_the_languages_of_the_ten_best_stand_by_query_language(result: Path) -> None:
    """Catches shares of a query language that are those of another, or do not sum to 1."""
    shares = json.loads((result / "summary.json").read_text())["top10_languages"]
    assert {query: set(of_query) for query, of_query in shares.items()} == {
        language: set(LANGUAGES) for language in LANGUAGES
    }
    assert [sum(of_query.values()) for of_query in shares.values()] == pytest.approx([1.0, 1.0, 1.0])


def test_the_same_checkpoint_gives_the_same_bytes(
    result: Path, config: EvaluationConfig, checkpoint: Path, tmp_path: Path
) -> None:
    """Catches an order or a time that gets into the results."""
    evaluate(config, encoder_folder(checkpoint).parent, tmp_path)
    files = sorted(path.relative_to(result) for path in result.rglob("*") if path.is_file())
    assert len(files) == 2 + 12
    for name in files:
        assert (tmp_path / "xquad_r" / name).read_bytes() == (result / name).read_bytes()


def test_a_complete_result_is_kept_unless_asked(
    config: EvaluationConfig, checkpoint: Path, result: Path, texts: list[str], tmp_path: Path
) -> None:
    """Catches an evaluation that is paid for twice, and one that leaves an unfinished folder in the way."""
    out = tmp_path / "evaluation"
    (out / "xquad_r").mkdir(parents=True)
    (out / "xquad_r" / "per_query.parquet").write_text("unfinished")
    (summary,) = evaluate(config, checkpoint, out)
    assert summary.read_bytes() == (result / "summary.json").read_bytes()
    summary.write_text(summary.read_text().replace('"aggregates"', '"marked": true, "aggregates"'))
    evaluate(config, checkpoint, out)
    assert json.loads(summary.read_text())["marked"]
    evaluate(config, checkpoint, out, again=True)
    assert summary.read_bytes() == (result / "summary.json").read_bytes()
    assert [path.name for path in out.iterdir()] == ["xquad_r"]


def test_a_result_of_other_settings_is_not_taken_for_this_one(
    config: EvaluationConfig, checkpoint: Path, result: Path
) -> None:
    """Catches figures of the whole embedding returned for its prefix."""
    changed = config.model_copy(update={"dimension": 8})
    with pytest.raises(ConfigError, match="holds a result with dimension None, and 8 is asked for; remove"):
        evaluate(changed, checkpoint, result.parent)


def test_a_prefix_of_the_embedding_is_evaluated(
    config: EvaluationConfig, checkpoint: Path, tmp_path: Path
) -> None:
    """Catches a dimension that is written down but not used."""
    changed = config.model_copy(update={"dimension": 8})
    (summary,) = evaluate(changed, checkpoint, tmp_path)
    content = json.loads(summary.read_text())
    assert (content["dimension"], content["encoder"]["embedding_dimension"]) == (8, 8)


def test_an_encoder_that_gives_nan_is_refused(
    config: EvaluationConfig, texts: list[str], tmp_path: Path
) -> None:
    """Catches a ranking of NaN scores, which looks like any other."""
    checkpoint = write_checkpoint(tmp_path / "step-00000200", texts, poison=True)
    with pytest.raises(CheckpointError, match="its embeddings hold NaN or infinity"):
        evaluate(config, checkpoint, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_without_an_encoder_is_refused(config: EvaluationConfig, tmp_path: Path) -> None:
    """Catches a traceback from deep inside the model library."""
    with pytest.raises(CheckpointError, match=r"has an encoder\.json; name a checkpoint"):
        evaluate(config, tmp_path, tmp_path / "out")
