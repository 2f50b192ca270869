"""Which corpora are searched, and which hold the positives."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.config.mining import MiningConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.data import files
from distributed_hbt.errors import ConfigError
from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.corpus_search import survey_corpora
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.languages import language_code
from distributed_hbt.mining.corpus_keys import Corpora
from distributed_hbt.mining.gather import Gathered
from distributed_hbt.mining.search import goes_with

Files = Mapping[str, tuple[CorpusFile, ...]]
"""language -> the files of its corpus."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """`searched` give candidates. `positives` hold the positives whose scores margins need, where that is
    no part of what is searched; else None."""

    searched: Corpora
    positives: Corpora | None


def survey(config: RunConfig, gathered: Gathered, work: Path, executor: Executor) -> Surveyed:
    """The corpora, looked through once.

    Raises ConfigError where `mining.language` leaves nothing to search, DataError with file:line for a
    passage that can not be used.
    """
    own = gathered.corpus.files if gathered.corpus is not None else {}
    if not config.mining.corpus:
        needed = _needed(own, gathered, config.mining, gathered.queries.positives)
        return Surveyed(_survey(needed, config, work, executor), None)
    needed = _needed(_given(config.mining), gathered, config.mining, {})
    searched = _survey(needed, config, config.stores, executor)
    if not config.mining.has_margin:
        return Surveyed(searched, None)
    return Surveyed(searched, _survey(own, config, work, executor))


def _given(config: MiningConfig) -> Files:
    """Blank passages may stand in them; they are never negatives."""
    return {
        language_code(language): tuple(CorpusFile(file, "docid", "keep") for file in files.expand(path))
        for language, path in config.corpus.items()
    }


def _needed(corpora: Files, gathered: Gathered, config: MiningConfig, scored: Mapping[str, object]) -> Files:
    """Those in which some query may have a negative, and those with positives whose scores are needed."""
    languages = gathered.queries.languages
    allowed = [
        language
        for language in corpora
        if any(goes_with(one, language, config.language) for one in languages)
    ]
    if not allowed:
        what = f"{config.language} leaves nothing to search: queries in {', '.join(languages)}, "
        what += f"passages in {', '.join(sorted(corpora))}"
        raise ConfigError("mining.language", what, "choose another, or name a mining.corpus")
    return {language: corpora[language] for language in sorted({*allowed, *scored})}


def _survey(corpora: Files, config: RunConfig, stores: Path, executor: Executor) -> Corpora:
    surveyed = survey_corpora(list(corpora.values()), config.evaluation, stores, executor)
    return dict(zip(corpora, surveyed, strict=True))
