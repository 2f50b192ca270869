"""Search of codes against exact search."""

from pathlib import Path

import numpy as np
import pytest

from distributed_hbt.evaluation.embedding_store import (
    Codes,
    Int8Codes,
    PrefixCodes,
    StoredShard,
    rescore,
    search_codes,
    stored_shard,
)
from distributed_hbt.evaluation.embedding_store.rounding import Floats
from distributed_hbt.evaluation.search import StreamingTopK, Thresholds, TopK
from tests.embedding_stores import store_in, unit_vectors

NUM_ROWS, DIMENSION = 3000, 64
QUERY_QD = unit_vectors(40, DIMENSION, seed=1)
CODES: list[Codes] = [Int8Codes(), PrefixCodes(32, True, "float16")]


def clustered(num_rows: int, seed: int) -> Floats:
    """Embeddings around 30 centres, their first dimensions the weightiest, as Matryoshka training makes."""
    chance = np.random.default_rng(seed)
    centre_CD = unit_vectors(30, DIMENSION, seed=7)
    noise_ND = chance.standard_normal((num_rows, DIMENSION)) * 0.05
    embedding_ND = (centre_CD[chance.integers(0, 30, num_rows)] + noise_ND) * np.geomspace(1, 0.2, DIMENSION)
    return (embedding_ND / np.linalg.norm(embedding_ND, axis=1, keepdims=True)).astype(np.float32)


def shard_of(folder: Path, embedding_ND: Floats, codes: Codes) -> StoredShard:
    store = store_in(folder, codes, dimension=embedding_ND.shape[1])
    return stored_shard(store, 0, lambda: ([str(row) for row in range(len(embedding_ND))], embedding_ND))


def exact(shard: StoredShard, query_QD: Floats, k: int, key_N: np.ndarray) -> TopK:
    top = StreamingTopK(query_QD, k)
    for start, embedding_BD in shard.blocks():
        top.add(embedding_BD, key_N[start : start + len(embedding_BD)])
    return top.result()


def recall(expected: TopK, found: TopK) -> float:
    pairs = zip(expected.key_QK.tolist(), found.key_QK.tolist(), strict=True)
    return float(np.mean([len(set(one) & set(other)) / len(one) for one, other in pairs]))


def shuffled_keys(num_rows: int) -> np.ndarray:
    """Distinct, in no order, not from 0."""
    return np.random.default_rng(3).permutation(num_rows) * 3 + 5


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("k", [1, 10, 3000, 5000])
def test_with_all_rows_as_candidates_it_is_exact_search(tmp_path: Path, codes: Codes, k: int) -> None:
    """Catches candidates that are scored with another row's embedding, and the wrong end of the ranking."""
    shard = shard_of(tmp_path, unit_vectors(NUM_ROWS, DIMENSION), codes)
    key_N = shuffled_keys(NUM_ROWS)
    expected = exact(shard, QUERY_QD, k, key_N)
    found = search_codes(shard, QUERY_QD, k, NUM_ROWS, key_N).top
    assert found.key_QK.shape == (40, min(k, NUM_ROWS))
    np.testing.assert_array_equal(found.key_QK, expected.key_QK)
    np.testing.assert_array_equal(found.score_QK, expected.score_QK)
    assert (found.score_QK.dtype, found.key_QK.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("codes", CODES)
def test_scores_are_those_of_the_embeddings(tmp_path: Path, codes: Codes) -> None:
    """Catches scores of codes in the run file."""
    shard = shard_of(tmp_path, unit_vectors(NUM_ROWS, DIMENSION), codes)
    top = search_codes(shard, QUERY_QD, 10, 2, np.arange(NUM_ROWS)).top
    expected = np.einsum("qd,qkd->qk", QUERY_QD, shard.embeddings()[top.key_QK])
    np.testing.assert_allclose(top.score_QK, expected, rtol=0, atol=1e-6)
    assert (np.diff(top.score_QK) <= 0).all()


@pytest.mark.parametrize(("codes", "least"), [(Int8Codes(), 0.999), (PrefixCodes(32, True, "float16"), 0.75)])
def test_recall_on_clusters_grows_with_the_candidates(tmp_path: Path, codes: Codes, least: float) -> None:
    """Catches codes that find little more than chance, and candidates that are not used."""
    shard = shard_of(tmp_path, clustered(NUM_ROWS, 0), codes)
    key_N = shuffled_keys(NUM_ROWS)
    query_QD = clustered(40, 1)
    expected = exact(shard, query_QD, 20, key_N)
    recalls = [
        recall(expected, search_codes(shard, query_QD, 20, candidates, key_N).top)
        for candidates in (1, 2, 4, 16)
    ]
    assert recalls == sorted(recalls)
    assert recalls[0] < 1
    assert recalls[2] >= least
    assert recalls[3] > recalls[0]


def test_int8_recall_on_random_vectors(tmp_path: Path) -> None:
    """Catches a factor of the wrong row: random vectors have the closest scores of all."""
    shard = shard_of(tmp_path, unit_vectors(NUM_ROWS, DIMENSION), Int8Codes())
    key_N = shuffled_keys(NUM_ROWS)
    expected = exact(shard, QUERY_QD, 100, key_N)
    first, more = (search_codes(shard, QUERY_QD, 100, n, key_N).top for n in (1, 2))
    assert 0.95 < recall(expected, first) < 1
    assert recall(expected, more) == 1


@pytest.mark.parametrize("codes", [Int8Codes(), PrefixCodes(16, False, "float16")])
def test_ties_are_settled_by_the_lower_key(tmp_path: Path, codes: Codes) -> None:
    """Catches an order of equal scores that depends on the rows' places, so on how a corpus is cut."""
    embedding_ND = np.repeat(np.eye(4, DIMENSION, dtype=np.float32), 25, axis=0)
    shard = shard_of(tmp_path, embedding_ND, codes)
    key_N = shuffled_keys(100)
    query_QD = np.array([[3, 2, 2, 1]], np.float32) @ np.eye(4, DIMENSION, dtype=np.float32)
    found = search_codes(shard, query_QD, 40, 2, key_N).top
    best = sorted(key_N[:25].tolist()) + sorted(key_N[25:75].tolist())[:15]
    assert found.key_QK[0].tolist() == best
    assert found.score_QK[0].tolist() == [3.0] * 25 + [2.0] * 15


def test_thresholds_count_codes(tmp_path: Path) -> None:
    """Catches ranks below the depth that are never counted when codes are searched."""
    shard = shard_of(tmp_path, unit_vectors(NUM_ROWS, DIMENSION), Int8Codes())
    key_N = shuffled_keys(NUM_ROWS)
    code_ND = np.concatenate([block for _, block in shard.code_blocks()])
    score_QN = QUERY_QD @ code_ND.T
    score_QR = np.sort(score_QN, axis=1)[:, [-5, -2000]] + np.float32(1e-5)
    thresholds = Thresholds(score_QR, np.zeros((40, 2), np.int64), np.full((40, 2), -1))
    above_QR = search_codes(shard, QUERY_QD, 10, 1, key_N, thresholds=thresholds).above_QR
    expected = (score_QN[:, None] > score_QR[..., None]).sum(-1)
    assert (np.abs(above_QR - expected) <= 1).all()
    assert expected[0].min() >= 3


def test_candidates_of_every_block_are_scored(tmp_path: Path) -> None:
    """Catches rows that are counted from the start of their block, and scores of another query."""
    shard = shard_of(tmp_path, unit_vectors(200_000, 32), Int8Codes())
    assert len(list(shard.blocks())) == 2
    query_QD = unit_vectors(5, 32, seed=1)
    row_QC = np.random.default_rng(0).integers(0, 200_000, (5, 300))
    score_QC = rescore(shard, query_QD, row_QC)
    embedding_ND = shard.embeddings()
    expected = [
        [embedding_ND[row] @ query_D for row in rows] for query_D, rows in zip(query_QD, row_QC, strict=True)
    ]
    np.testing.assert_array_equal(score_QC, np.array(expected))


def test_codes_of_every_block_are_searched(tmp_path: Path) -> None:
    """Catches codes of a later block under the keys of the first."""
    shard = shard_of(tmp_path, unit_vectors(200_000, 32), Int8Codes())
    assert len(list(shard.code_blocks())) == 2
    key_N, query_QD = shuffled_keys(200_000), unit_vectors(5, 32, seed=1)
    expected = exact(shard, query_QD, 10, key_N)
    np.testing.assert_array_equal(search_codes(shard, query_QD, 10, 10, key_N).top.key_QK, expected.key_QK)


def test_queries_in_several_parts_give_the_same(tmp_path: Path) -> None:
    """Catches queries that are lost, or exchanged, where the memory does not hold the scores of all."""
    shard = shard_of(tmp_path, unit_vectors(NUM_ROWS, DIMENSION), Int8Codes())
    key_N, query_QD = shuffled_keys(NUM_ROWS), unit_vectors(100, DIMENSION, seed=1)
    whole = search_codes(shard, query_QD, 500, 4, key_N, memory_mb=256).top
    parts = search_codes(shard, query_QD, 500, 4, key_N, memory_mb=1).top
    np.testing.assert_array_equal(parts.key_QK, whole.key_QK)
    np.testing.assert_array_equal(parts.score_QK, whole.score_QK)
