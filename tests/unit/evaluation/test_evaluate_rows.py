"""A checkpoint evaluated on training data as a benchmark."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch

from distributed_hbt.config.evaluation import EvaluationConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.evaluation.evaluate import evaluate_checkpoint
from distributed_hbt.evaluation.jobs import search_shard
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.models.saved import load_encoder
from tests.corpus_files import passage, write_lines
from tests.tiny_encoder import write_checkpoint

TEXT = "sun moon star river lake hill tree leaf root stone sand snow rain wind fire"
WORDS = TEXT.split()
PASSAGES = [passage(f"d{i}", f"{word} {WORDS[i - 3]} {WORDS[i - 7]}") for i, word in enumerate(WORDS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two query languages that search one corpus, under the same query ids, and one that has its own."""
    folder = tmp_path_factory.mktemp("rows")
    pairs = [("xx", "en"), ("yy", "en"), ("zz", "zz")]
    rows = [
        {
            **{"group_id": f"{i}{asked if asked == 'zz' else ''}", "query": f"{asked} {word}"},
            **{"query_language": asked, "passage_language": answered, "positive_passages": [PASSAGES[i]]},
        }
        for asked, answered in pairs
        for i, word in enumerate(WORDS)
    ]
    write_lines(folder / "rows.jsonl", *rows)
    write_lines(folder / "xx.jsonl", *(rows[: len(WORDS)]))
    write_checkpoint(folder / "step-00000100", [*(p["text"] for p in PASSAGES), "xx yy zz"], vocab=300)
    return folder


def evaluate(folder: Path, out: Path, path: str, **source: Any) -> dict[str, Any]:
    benchmark = {
        "name": "rows",
        "label": "ours",
        "sources": [{"format": "hbt_jsonl", "path": path, **source}],
    }
    config = EvaluationConfig.model_validate_json(json.dumps({"depth": 3, "benchmarks": [benchmark]}))
    (summary,) = evaluate_checkpoint(
        config,
        folder / "step-00000100",
        out,
        stores=folder / "stores",
        executor=LocalExecutor("cpu"),
    )
    return json.loads(summary.read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def summary(folder: Path) -> dict[str, Any]:
    return evaluate(folder, folder / "evaluation", str(folder / "rows.jsonl"))


def test_measures_are_those_of_the_embeddings(folder: Path, summary: dict[str, Any]) -> None:
    """Hits of one query language's question given to the question of the same id in another."""
    loaded = load_encoder(folder / "step-00000100" / "encoder")

    def embed(kind: str, texts: list[str]) -> torch.Tensor:
        encode = getattr(loaded.texts, kind)
        return loaded.encoder.embed(*loaded.texts.pad([list(tokens) for tokens in encode(texts)]))

    passage_ND = embed("passages", [p["text"] for p in PASSAGES])
    for language in ("xx", "yy", "zz"):
        score_BN = embed("queries", [f"{language} {word}" for word in WORDS]) @ passage_ND.T
        rank_B = (score_BN > score_BN.diagonal().unsqueeze(1)).sum(1) + 1
        expected = float(torch.where(rank_B <= 10, 1 / rank_B, 0.0).mean())
        task = summary["tasks"][language]
        assert task["num_queries"] == len(WORDS)
        assert task["measures"]["RR@10"] == pytest.approx(expected, abs=1e-6)
    measures = [summary["tasks"][language]["measures"]["RR@10"] for language in ("xx", "yy")]
    assert measures[0] != measures[1]


def test_summary_has_the_means_over_the_query_languages(folder: Path, summary: dict[str, Any]) -> None:
    """Tasks that no table or comparison finds."""
    assert summary["aggregates"]["languages"] == ["xx", "yy", "zz"]
    for measure in ("nDCG@10", "R@100", "RR@10"):
        values = [summary["tasks"][language]["measures"][measure] for language in ("xx", "yy", "zz")]
        assert summary["aggregates"]["mean"][measure] == pytest.approx(sum(values) / 3)
    assert (summary["num_queries"], summary["num_candidates"]) == (3 * len(WORDS), 2 * len(WORDS))
    table = pyarrow.parquet.read_table(folder / "evaluation/ours/per_query.parquet").to_pylist()
    assert {(line["task"], line["measure"]) for line in table} >= {("xx", "nDCG@10"), ("zz", "R@100")}
    assert sum(line["measure"] == "RR@10" for line in table) == 3 * len(WORDS)
    assert {line["query_id"] for line in table} >= {"hbt_jsonl/0"}


def test_task_is_the_same_alone_and_beside_others(
    folder: Path, summary: dict[str, Any], tmp_path: Path
) -> None:
    """A corpus shared by several languages that changes what each of them finds."""
    alone = evaluate(folder, tmp_path, str(folder / "xx.jsonl"))
    assert alone["tasks"]["xx"] == summary["tasks"]["xx"]


def test_shared_corpus_is_encoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A corpus of English passages encoded for each of the eight languages that ask it."""
    shards = []
    run = search_shard.SearchShard.run
    monkeypatch.setattr(
        search_shard.SearchShard, "run", lambda self, *rest: shards.append(self.shard) or run(self, *rest)
    )
    evaluate(folder, tmp_path, str(folder / "rows.jsonl"))
    assert len(shards) == 2


def test_result_of_other_rows_is_not_kept(folder: Path, summary: dict[str, Any]) -> None:
    """Half of the test set asked for, and the figures of the whole given."""
    with pytest.raises(ConfigError, match="holds a result with sources"):
        evaluate(folder, folder / "evaluation", str(folder / "rows.jsonl"), share=0.5)
    assert str(folder) not in json.dumps(summary["sources"])
