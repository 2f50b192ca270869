"""The hits of a whole corpus in a file, and what codes lost of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from distributed_hbt.evaluation.embedding_store import CodesLoss, merge_losses
from distributed_hbt.evaluation.hits import QueryHits
from distributed_hbt.evaluation.whole_file import written_whole


@dataclass(frozen=True, slots=True)
class CorpusHits:
    """query_id -> its hits. `loss` is what the search of codes lost, None for exact search."""

    of_query: Mapping[str, QueryHits]
    loss: CodesLoss | None


def codes_loss(found: Sequence[QueryHits], exact: Sequence[QueryHits], depth: int) -> CodesLoss:
    """From the hits of the same queries, which are at least one."""
    return merge_losses(
        CodesLoss.of_query(
            depth,
            list(zip(best.doc_ids, best.scores, strict=True)),
            list(zip(one.doc_ids, one.scores, strict=True)),
        )
        for one, best in zip(found, exact, strict=True)
    )


def write_merged(path: Path, hits: Sequence[QueryHits], loss: CodesLoss | None) -> None:
    """Raises WorkerFailed where the file can not be written."""
    content = {
        "hits": [[one.doc_ids, one.scores, one.wanted] for one in hits],
        "loss": loss and asdict(loss),
    }
    with written_whole(path) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def read_merged(path: Path, query_ids: Sequence[str]) -> CorpusHits:
    """What `write_merged` wrote, of these queries in their order."""
    content = json.loads(path.read_text(encoding="utf-8"))
    hits = [
        QueryHits(
            tuple(doc_ids), tuple(scores), {name: (score, rank) for name, (score, rank) in wanted.items()}
        )
        for doc_ids, scores, wanted in content["hits"]
    ]
    loss = content["loss"] and CodesLoss(**content["loss"])
    return CorpusHits(dict(zip(query_ids, hits, strict=True)), loss)
