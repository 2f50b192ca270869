"""A checkpoint and a run's sources -> the rows of the sources, with hard negatives."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.example import Example, Passage
from distributed_hbt.data.formats.text_index import TextIndex
from distributed_hbt.errors import ConfigError, HbtError
from distributed_hbt.evaluation.corpus_search import Places
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.mining.choose import Choice, Negative, choose
from distributed_hbt.mining.corpora import Surveyed, survey
from distributed_hbt.mining.corpus_keys import read_corpus_keys
from distributed_hbt.mining.gather import Gathered, gather
from distributed_hbt.mining.keys import passage_keys, text_key
from distributed_hbt.mining.rows import keep_rows, read_kept
from distributed_hbt.mining.search import Found, search
from distributed_hbt.mining.summary import Summary
from distributed_hbt.mining.texts import ChosenTexts, pick_texts
from distributed_hbt.mining.verify import verify
from distributed_hbt.mining.write import write_rows

_log = logging.getLogger(__name__)


def mine(config: RunConfig, encoder: EncoderChoice, out: Path, executor: Executor) -> Summary:
    """Write the rows of `data.sources` with the negatives that `config.mining` asks for into `out`.

    `<out>.work` keeps what is done until `out` is there, so that a run that was broken off goes on from
    it. `out` is put in place at the end, whole, and its bytes depend neither on the executor nor on how
    often it was begun. Raises DataError for sources or corpora that can not be used, ConfigError where
    there is nothing to search, CheckpointError for embeddings that are not finite, WorkerFailed where a
    job could not be done.
    """
    with _work_folder(out) as work:
        rows = keep_rows(
            config.data, work, config.stores, max_characters=config.evaluation.max_passage_characters
        )
        gathered = gather(read_kept(rows), config.mining, rows.parent)
        surveyed = survey(config, gathered, work, executor)
        found = _search(config, gathered, surveyed, encoder, work, executor)
        _log.info("choosing negatives")
        choices, summary = _choose_all(rows, gathered, found, config)
        del found  # the largest of all this
        finished = work / out.name
        with TextIndex() as index:
            texts = ChosenTexts(index)
            pick_texts(_by_language(choices), surveyed.searched, texts, work, executor)
            write_rows(_with_kept(rows, gathered, choices, config), texts, finished)
        _log.info("looking through the finished file")
        verify(finished, summary.rows)
        finished.replace(out)
        shutil.rmtree(work)
    return summary


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """Input that is refused leaves none, unless an earlier run has left it.

    Raises ConfigError where it can not be made, and while another process mines into `out`.
    """
    from filelock import FileLock, Timeout

    work = out.with_name(f"{out.name}.work")
    is_new = not work.exists()
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / "lock").acquire(blocking=False)
    except Timeout as error:
        raise ConfigError("--out", f"another process mines into {out}", "wait, or name another") from error
    except OSError as error:
        what = f"{work} can not be made ({error.strerror})"
        raise ConfigError("--out", what, "name a file in a folder that can be written") from error
    with lock:
        try:
            yield work
        except HbtError as error:
            if is_new and error.exit_code == ConfigError.exit_code:
                shutil.rmtree(work)
            raise


def _search(
    config: RunConfig,
    gathered: Gathered,
    surveyed: Surveyed,
    encoder: EncoderChoice,
    work: Path,
    executor: Executor,
) -> Found:
    return search(
        gathered,
        surveyed.searched,
        read_corpus_keys(surveyed.searched, gathered.told, work, executor),
        surveyed.positives,
        config.mining,
        encoder=encoder,
        settings=config.evaluation,
        places=Places(work, config.stores),
        executor=executor,
    )


def _choose_all(
    rows: Path, gathered: Gathered, found: Found, config: RunConfig
) -> tuple[list[tuple[Negative, ...]], Summary]:
    """The negatives of every row, in order."""
    summary = Summary(config.mining.num_negatives)
    chosen = []
    for row in read_kept(rows):
        known = gathered.known.of(row)
        good = _not_known(row, known)
        kept = good if config.mining.keep_given else []
        choice = _choose(row, known, kept, gathered, found, config)
        summary.add(row, choice, kept=len(kept), known=len(row.negatives) - len(good))
        chosen.append(choice.negatives)
    return chosen, summary


def _choose(
    row: Example,
    known: frozenset[int],
    kept: Sequence[Passage],
    gathered: Gathered,
    found: Found,
    config: RunConfig,
) -> Choice:
    query_id = gathered.queries.id_of(row)
    lowest = None
    if config.mining.has_margin:
        assert gathered.corpus is not None
        language = row.passage_language
        doc_ids = [gathered.corpus.id_of(language, passage) for passage in row.positives]
        lowest = found.lowest(query_id, language, doc_ids)
    return choose(
        found.candidates(query_id, row.query_language),
        known,
        lowest,
        config.mining,
        draw=f"{config.seed}\0{row.group_id}\0{row.query_language}\0{row.query}",
        given=[text_key(passage.full_text) for passage in kept],
    )


def _not_known(row: Example, known: frozenset[int]) -> list[Passage]:
    """The negatives that a row has, without known positives."""
    return [passage for passage in row.negatives if known.isdisjoint(passage_keys(passage))]


def _with_kept(
    rows: Path, gathered: Gathered, choices: Sequence[tuple[Negative, ...]], config: RunConfig
) -> Iterator[tuple[Example, tuple[Negative, ...]]]:
    """Every row with those of its own negatives that it keeps, and its mined ones."""
    for row, negatives in zip(read_kept(rows), choices, strict=True):
        kept = _not_known(row, gathered.known.of(row)) if config.mining.keep_given else []
        yield replace(row, negatives=tuple(kept)), negatives


def _by_language(choices: Sequence[tuple[Negative, ...]]) -> dict[str, set[str]]:
    """language -> doc_ids of all that was chosen."""
    found: dict[str, set[str]] = {}
    for negatives in choices:
        for negative in negatives:
            found.setdefault(negative.language, set()).add(negative.doc_id)
    return found
