"""What is known of a corpus's passages by their keys, beside what the search says.

Of most passages nothing: they share no text with any other and no key with a known positive. Only the
others are held, 24 bytes each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distributed_hbt.evaluation.corpus.survey import FileSurvey
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.mining.jobs.key_file import KeyFile
from distributed_hbt.mining.keys import BLANK, id_key
from distributed_hbt.mining.known import Keys, KnownPositives

Corpora = Mapping[str, tuple[FileSurvey, ...]]
"""language -> its surveyed files."""


@dataclass(frozen=True, slots=True)
class PassageFacts:
    """By what a passage is known, and a number that it shares with the passages of the same text alone."""

    keys: tuple[int, ...]
    same: int


@dataclass(frozen=True, eq=False)
class CorpusKeys:
    """The passages of a corpus that share a key with something, by ascending key of their ids.

    `whole_S` is the key of title and text, `alone_S` that of the text.
    """

    id_S: Keys
    whole_S: Keys
    alone_S: Keys

    def facts(self, doc_ids: Sequence[str]) -> list[PassageFacts]:
        """Of each passage."""
        id_N = np.array([id_key(doc_id) for doc_id in doc_ids], dtype=np.uint64)
        if not len(self.id_S):
            return [PassageFacts((key,), key) for key in id_N.tolist()]
        row_N = np.minimum(np.searchsorted(self.id_S, id_N), len(self.id_S) - 1)
        columns = (self.id_S[row_N] == id_N, id_N, self.whole_S[row_N], self.alone_S[row_N])
        return [
            PassageFacts((key, whole, alone), whole) if held else PassageFacts((key,), key)
            for held, key, whole, alone in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def most_known(self, known: KnownPositives) -> int:
        """At least as many passages as any row knows of this corpus."""
        row_S = np.arange(len(self.id_S))
        return known.most(np.concatenate([self.id_S, self.whole_S, self.alone_S]), np.tile(row_S, 3))


def read_corpus_keys(corpora: Corpora, wanted: Keys, work: Path, executor: Executor) -> dict[str, CorpusKeys]:
    """Every corpus read once, by jobs. `wanted` are the keys (ascending) by which passages are told.

    Memory: 32 bytes a passage of all corpora for a while.
    """
    jobs = {language: [_job(survey, work) for survey in surveys] for language, surveys in corpora.items()}
    executor.run([job for of_language in jobs.values() for job in of_language], "mining: texts of the corpus")
    keys = {
        language: np.concatenate([np.load(job.output) for job in of_language])
        for language, of_language in jobs.items()
    }
    repeated = _repeated([key_R3[:, 1] for key_R3 in keys.values()])
    told = np.union1d(np.union1d(wanted, repeated), np.array([BLANK], dtype=np.uint64))
    return {language: _shared(key_R3, told) for language, key_R3 in keys.items()}


def _job(survey: FileSurvey, work: Path) -> KeyFile:
    name = f"{survey.file.id_field}-{survey.fingerprint}.npy"
    return KeyFile(work / "keys" / name, survey.file, survey.max_characters)


def _repeated(columns: Sequence[Keys]) -> Keys:
    every = np.concatenate(columns)
    every.sort()
    return np.unique(every[1:][every[1:] == every[:-1]])


def _shared(key_R3: Keys, told: Keys) -> CorpusKeys:
    is_told_R = np.zeros(len(key_R3), dtype=bool)
    for column in range(3):
        nearest_R = told[np.minimum(np.searchsorted(told, key_R3[:, column]), len(told) - 1)]
        is_told_R |= nearest_R == key_R3[:, column]
    shared_S3 = key_R3[is_told_R]
    shared_S3 = shared_S3[np.argsort(shared_S3[:, 0])]
    return CorpusKeys(*(np.ascontiguousarray(shared_S3[:, i]) for i in range(3)))
