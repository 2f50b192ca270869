"""Merging what the shards of a corpus found."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distributed_hbt.evaluation.hits import (
    QueryHits,
    ShardHits,
    Wanted,
    merge,
    read_shard_hits,
    write_shard_hits,
)
from distributed_hbt.evaluation.merged import CorpusHits, codes_loss, read_merged, write_merged

Documents = dict[str, float]


def shard(documents: Documents, wanted: Documents, depth: int) -> ShardHits:
    """What one query finds in a shard, by sorting."""
    ranking = sorted(documents.items(), key=lambda one: (-one[1], one[0]))
    best = ranking[:depth]
    above = [
        sum((-score, doc_id) < (-limit, name) for doc_id, score in ranking if doc_id != name)
        for name, limit in wanted.items()
    ]
    return ShardHits(
        np.array([[score for _, score in best]], np.float32),
        np.arange(len(best))[None],
        tuple(doc_id for doc_id, _ in best),
        np.array([above], np.int64),
    )


def merged(parts: list[Documents], wanted: Documents, depth: int) -> QueryHits:
    scores = (np.array(list(wanted.values()), np.float32),)
    about = Wanted((tuple(wanted),), scores, scores)
    (hits,) = merge([shard(part, wanted, depth) for part in parts], about, depth)
    return hits


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3), st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1
    ),
    st.lists(st.integers(0, 2), min_size=40, max_size=40),
    st.integers(1, 6),
    st.data(),
)
def test_shards_in_any_order_give_the_ranking_of_the_whole(
    documents: Documents, places: list[int], depth: int, data: st.DataObject
) -> None:
    """Catches ties cut by the order of the shards, and ranks that leave a shard out."""
    parts: list[Documents] = [{}, {}, {}]
    for (doc_id, score), place in zip(documents.items(), places, strict=False):
        parts[place][doc_id] = score
    wanted = {name: documents[name] for name in data.draw(st.sets(st.sampled_from(sorted(documents))))}
    ranking = sorted(documents.items(), key=lambda one: (-one[1], one[0]))
    for order in (parts, parts[::-1]):
        hits = merged(order, wanted, depth)
        assert list(zip(hits.doc_ids, hits.scores, strict=True)) == ranking[:depth]
        assert hits.wanted == {
            doc_id: (score, rank) for rank, (doc_id, score) in enumerate(ranking, 1) if doc_id in wanted
        }


def test_wanted_documents_never_share_a_rank() -> None:
    """Catches two documents on one rank, or on one of the best's, when counts are off by a last bit."""
    part = ShardHits(
        np.array([[3.0, 2.0]], np.float32),
        np.array([[0, 1]]),
        ("a", "b"),
        np.array([[1, 1]], np.int64),  # both are beaten by one passage only, they say
    )
    scores = (np.array([1.0, 1.5], np.float32),)
    (hits,) = merge([part], Wanted((("y", "x"),), scores, scores), depth=2)
    assert hits.doc_ids == ("a", "b")
    assert hits.wanted == {"x": (1.5, 3), "y": (1.0, 4)}


def test_hits_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Catches ids that lose their order, a shard in which nothing was found, two searches mixed up."""
    first, second = shard({"ä#1": 0.5, "文": 0.25}, {"文": 0.25}, depth=5), shard({}, {}, depth=5)
    write_shard_hits(tmp_path / "hits.npz", [first, second])
    found = read_shard_hits(tmp_path / "hits.npz")
    assert found.doc_ids == ("ä#1", "文")
    assert found.score_QK.tolist() == [[0.5, 0.25]]
    assert found.above_QR.tolist() == [[1]]
    assert read_shard_hits(tmp_path / "hits.npz", 1).doc_ids == ()
    hits = merged([{"ä#1": 0.1, "文": 0.25}], {"文": 0.25}, depth=1)
    loss = codes_loss([hits], [hits], 1)
    write_merged(tmp_path / "merged.json", [hits], loss)
    assert read_merged(tmp_path / "merged.json", ["q"]) == CorpusHits({"q": hits}, loss)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["hits.npz", "merged.json"]
