"""What tells the data of one benchmark from that of another: content, never paths."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from distributed_hbt.evaluation.benchmarks.collection import Collection, Entry, Qrels
from distributed_hbt.evaluation.benchmarks.judged import JudgedCorpus
from distributed_hbt.evaluation.corpus.survey import FileSurvey, corpus_fingerprint


def collection_fingerprint(collection: Collection) -> str:
    """32 hexadecimal digits, of all ids, texts and judgments, in their order."""

    def parts() -> Iterable[Any]:
        for language in collection.languages:
            yield [language, _texts(collection.queries[language]), _texts(collection.candidates[language])]
        yield _judgments(collection.qrels)

    return _digest(parts())


def judged_fingerprint(judged: Sequence[JudgedCorpus], corpora: Sequence[Sequence[FileSurvey]]) -> str:
    """32 hexadecimal digits, of all queries, judgments and passages, in their order."""
    return _digest(
        [one.task, _texts(one.queries), _judgments(one.qrels), corpus_fingerprint(surveys)]
        for one, surveys in zip(judged, corpora, strict=True)
    )


def _texts(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    return [(entry.id, entry.text) for entry in entries]


def _judgments(qrels: Qrels) -> dict[str, dict[str, int]]:
    return {query_id: dict(judged) for query_id, judged in qrels.items()}


def _digest(parts: Iterable[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(json.dumps(part, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
