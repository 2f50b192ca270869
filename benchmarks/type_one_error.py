"""How often the comparison calls equal systems different: python -m benchmarks.type_one_error

Systems are equal; values per query are skewed as average precision is, and clipped to [0, 1].
"""

import argparse

import numpy as np

from distributed_hbt.comparison.significance import Floats, randomisation_p, seeds_t_test, t_test

LEVEL = 0.05
QUERIES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    pairs = parser.parse_args().pairs
    random = np.random.default_rng(20260)
    print(f"{pairs} pairs of equal systems, {QUERIES} queries, level {LEVEL}")
    one_QK, other_QK = (_values(random, 1, pairs, 0.0)[:, 0].T for _ in range(2))
    randomisation_K = randomisation_p((other_QK - one_QK) / QUERIES)
    print(f"one seed: randomisation {_share(randomisation_K):.3f}", end=", ")
    stratum_Q = np.zeros(QUERIES, np.int64)
    print(f"t {_share([t_test(d_Q / QUERIES, stratum_Q).p for d_Q in (other_QK - one_QK).T]):.3f}")
    for seeds in (2, 3, 5):
        for deviation in (0.0, 0.01, 0.03, 0.1):
            _several(random, pairs, seeds, deviation)


def _several(random: np.random.Generator, pairs: int, seeds: int, deviation: float) -> None:
    stratum_Q = np.zeros(QUERIES, np.int64)
    one_KSQ, other_KSQ = (_values(random, seeds, pairs, deviation) for _ in range(2))
    both = zip(one_KSQ / QUERIES, other_KSQ / QUERIES, strict=True)
    crossed, over_queries = [], []
    for one_SQ, other_SQ in both:
        crossed.append(seeds_t_test(one_SQ, other_SQ, stratum_Q).p)
        over_queries.append(t_test((other_SQ - one_SQ).mean(axis=0), stratum_Q).p)
    print(
        f"{seeds} seeds, standard deviation over seeds {deviation:g}: seeds and queries "
        f"{_share(crossed):.3f}, queries alone {_share(over_queries):.3f}"
    )


def _values(random: np.random.Generator, seeds: int, pairs: int, deviation: float) -> Floats:
    """[K, S, Q]; the difficulty of a query is the same for both systems of a pair."""
    difficulty_K1Q = np.random.default_rng(1).beta(0.6, 1.2, (pairs, 1, QUERIES))
    seed_KS1 = random.normal(0, deviation, (pairs, seeds, 1))
    noise_KSQ = random.normal(0, 0.1, (pairs, seeds, QUERIES))
    return np.clip(difficulty_K1Q + seed_KS1 + noise_KSQ, 0, 1)


def _share(p_values: Floats | list[float]) -> float:
    return float((np.asarray(p_values) <= LEVEL).mean())


if __name__ == "__main__":
    main()
