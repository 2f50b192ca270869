"""Whole evaluations by the pool: real jobs, a tiny encoder, a corpus in shards."""

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from distributed_hbt.config.evaluation import BeirBenchmark, EvaluationConfig
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.evaluate import evaluate_checkpoint
from distributed_hbt.evaluation.jobs.job import Executor, Job
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.evaluation.jobs.worker import Worker
from tests.coordinator.evaluation_pool_cluster import pool, ray_cluster
from tests.tiny_encoder import write_checkpoint

__all__ = ["ray_cluster"]
pytestmark = pytest.mark.usefixtures("ray_cluster")

WORDS = (
    "island",
    "river",
    "mountain",
    "sea",
    "star",
    "sun",
    "moon",
    "rain",
    "wind",
    "fire",
    "water",
    "earth",
)
PASSAGES = [" ".join(WORDS[(n * k + k) % 12] for k in range(1, 2 + n % 9)) for n in range(240)]
SHARD_ROWS = 20


@dataclass(frozen=True)
class Noted:
    """A job that notes which process does it, and kills the first one, in the middle, if it is `deadly`."""

    job: Job
    notes: Path
    deadly: bool

    @property
    def output(self) -> Path:
        return self.job.output

    @property
    def size(self) -> int:
        return self.job.size

    @property
    def subject(self) -> str:
        return self.job.subject

    def run(self, worker: Worker) -> None:
        first = not self.notes.exists() or self.subject not in self.notes.read_text()
        with self.notes.open("a") as file:
            file.write(f"{os.getpid()} {self.subject}\n")
        if first and self.deadly:
            worker.advance = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        self.job.run(worker)


@dataclass(frozen=True)
class Noting:
    """An executor whose jobs are noted; those whose subject ends so are `deadly`."""

    executor: Executor
    notes: Path
    deadly: str | None = None

    def run(self, jobs: Sequence[Job], label: str) -> None:
        deadly = [self.deadly is not None and job.subject.endswith(self.deadly) for job in jobs]
        noted = [Noted(job, self.notes, kills) for job, kills in zip(jobs, deadly, strict=True)]
        self.executor.run(noted, label)

    @property
    def noted(self) -> list[tuple[int, str]]:
        lines = self.notes.read_text().splitlines()
        return [(int(pid), subject) for pid, _, subject in (line.partition(" ") for line in lines)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "step-00000100", PASSAGES)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beir")
    write_corpus(folder, PASSAGES)
    return folder


def write_corpus(folder: Path, passages: Sequence[str]) -> None:
    (folder / "qrels").mkdir()
    rows = [json.dumps({"_id": f"d{n}", "title": "", "text": text}) for n, text in enumerate(passages)]
    queries = [json.dumps({"_id": f"q{n}", "text": PASSAGES[n * 7]}) for n in range(10)]
    judgments = [f"q{n}\td{n * 7}\t1" for n in range(10)]
    (folder / "corpus.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n")
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judgments]) + "\n")


def evaluate(corpus: Path, checkpoint: Path, out: Path, executor: Executor) -> dict[str, bytes]:
    """Every file of the result."""
    config = EvaluationConfig(
        benchmarks=(BeirBenchmark(name="beir", label="toys", path=str(corpus)),),
        depth=15,
        shard_rows=SHARD_ROWS,
        max_tokens_per_batch=256,
    )
    evaluate_checkpoint(config, checkpoint, out, stores=out.parent / "stores", executor=executor)
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The result of one process: this one."""
    out = tmp_path_factory.mktemp("local") / "out"
    result = evaluate(corpus, checkpoint, out, LocalExecutor("cpu", threads=1))
    assert "toys/summary.json" in result
    assert any(name.endswith(".trec.gz") for name in result)
    return result


@pytest.mark.parametrize("actors", [1, 2, 5])
def test_any_number_of_actors_gives_the_same_files(
    tmp_path: Path, corpus: Path, checkpoint: Path, undisturbed: dict[str, bytes], actors: int
) -> None:
    """Shards, batches or ties that depend on how many share the work, or on who does it."""
    with pool(actors) as executor:
        noting = Noting(executor, tmp_path / "notes")
        assert evaluate(corpus, checkpoint, tmp_path / "out", noting) == undisturbed
    subjects = [subject for _, subject in noting.noted]
    assert len(subjects) == len(set(subjects))
    assert sum("rows" in subject for subject in subjects) >= len(PASSAGES) / SHARD_ROWS


def test_a_killed_actor_changes_nothing_in_the_result(
    tmp_path: Path, corpus: Path, checkpoint: Path, undisturbed: dict[str, bytes]
) -> None:
    """A shard that is lost with its actor, or merged twice."""
    with pool(actors=2) as executor:
        noting = Noting(executor, tmp_path / "notes", deadly="rows 41 to 60")
        assert evaluate(corpus, checkpoint, tmp_path / "out", noting) == undisturbed
    (first, _), (second, _) = (noted for noted in noting.noted if noted[1].endswith("rows 41 to 60"))
    assert first != second
    subjects = {subject for _, subject in noting.noted}
    assert len(noting.noted) == len(subjects) + 1


def test_a_bad_row_is_named_and_ends_no_actor(tmp_path: Path, corpus: Path, checkpoint: Path) -> None:
    """The row lost in Ray's traceback; a pool that is of no use for the next checkpoint."""
    (tmp_path / "bad").mkdir()
    write_corpus(tmp_path / "bad", [*PASSAGES[:150], "", *PASSAGES[151:]])
    with pool() as executor:
        noting = Noting(executor, tmp_path / "notes")
        with pytest.raises(DataError) as caught:
            evaluate(tmp_path / "bad", checkpoint, tmp_path / "out", noting)
        evaluate(corpus, checkpoint, tmp_path / "later" / "out", noting)
    assert caught.value.where == f"{tmp_path}/bad/corpus.jsonl:151"
    assert len({pid for pid, _ in noting.noted}) == 2
