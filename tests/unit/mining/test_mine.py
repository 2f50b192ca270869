"""The negatives of mining as a whole, with a tiny random encoder, set against all scores of everything."""

from typing import Any

import numpy as np
import pytest

from tests.corpus_files import passage
from tests.unit.mining.bench import ROWS, Bench, negatives, own_corpus, row, sentence, write_corpora

RULES: list[dict[str, Any]] = [
    {},
    {"language": "same"},
    {"language": "other"},
    {"first_rank": 3, "depth": 6},
    {"absolute_margin": 0.01},
    {"relative_margin": 0.02, "language": "other"},
    {"absolute_margin": 0.01, "language": "same", "first_rank": 2},
]


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_negatives_are_the_best_that_the_rules_allow(bench: Bench, rules: dict[str, Any]) -> None:
    """Catches a shard, a language or a row left out, a score of another query, a margin from another row's
    positive. The rules are stated anew, over all scores."""
    mined, summary = bench.mine(bench.config(**rules))
    assert [{k: one[k] for k in ROWS[0] if k != "negative_passages"} for one in mined] == [
        {k: one[k] for k in ROWS[0] if k != "negative_passages"} for one in ROWS
    ]
    corpus = own_corpus(ROWS)
    ids = list(corpus)
    score_QN = bench.scores([one["query"] for one in ROWS], [one for _, one in corpus.values()])
    groups = {one["docid"]: of["group_id"] for of in ROWS for one in of["positive_passages"]}
    for given, found, score_N in zip(ROWS, mined, score_QN, strict=True):
        score = dict(zip(ids, score_N.tolist(), strict=True))
        same = {name: corpus[name][0] == given["query_language"] for name in ids}
        wanted = {"any": (True, False), "same": (True,), "other": (False,)}[rules.get("language", "any")]
        left = [n for n in ids if groups.get(n) != given["group_id"] and same[n] in wanted]
        left.sort(key=lambda name: -score[name])
        lowest = min(score[one["docid"]] for one in given["positive_passages"])
        most = min(
            lowest - rules.get("absolute_margin", -9),
            lowest - rules.get("relative_margin", -9) * abs(lowest),
        )
        window = left[rules.get("first_rank", 1) - 1 : rules.get("depth", 200)]
        expected = [name for name in window if score[name] <= most][:4]
        # Scores of a text in two batches differ in the last bits: equal up to that.
        assert [score[name] for name in negatives(found)] == pytest.approx(
            [score[name] for name in expected], abs=1e-5
        )
        assert set(negatives(found)) <= {n for n in window if score[n] <= most + 1e-5}
        for negative in found["negative_passages"]:
            language, expected_passage = corpus[negative["docid"]]
            assert {k: negative[k] for k in ("docid", "title", "text")} == expected_passage
            assert negative["language"] == language
            assert negative["similarity"] == pytest.approx(score[negative["docid"]], abs=1e-5)
            assert "score" not in negative
    assert summary.rows == len(ROWS)
    assert summary.negatives == sum(len(one["negative_passages"]) for one in mined)


def test_no_copy_of_a_known_positive_becomes_a_negative(bench: Bench) -> None:
    """Catches the positive under another id, in another corpus, without its title, in another spelling, and
    that of another row of the group: each is the best hit, as its text is the query's own."""
    text = "the river and the bridge"
    query = {"query": text}
    rows = [
        row("g", **query, positive_passages=[passage("p1", text, "Title")], negative_passages=[]),
        row("g", "de-de", positive_passages=[passage("p2", "der Fluss und die Bruecke")]),
        row("g", "sw-sw", positive_passages=[passage("", "mto na daraja")], negative_passages=[]),
        row("other", positive_passages=[passage("p9", "a song of winter")], negative_passages=[]),
    ]
    english = [
        passage("c1", text, "Title"),
        passage("c2", f"Title {text}"),
        passage("c3", f"{text.upper()} "),
        passage("c4", text, "Another title"),
        passage("p1", "the river and the bridges"),
        passage("p2", "the rivers and the bridge"),
        passage("c5", "der Fluss und die Bruecke"),
        passage("c6", "mto na daraja"),
        passage("c7", "A song of winter"),
        *(passage(f"e{n}", sentence("en", str(n))) for n in range(12)),
    ]
    swahili = [
        passage("c1", "mto  na daraja"),
        passage("c2", text),
        passage("c3", "meli"),
        passage("c4", "x"),
    ]
    corpus = write_corpora(bench.folder / "corpora", en=english, swa=swahili)
    mined, summary = bench.mine(bench.config(rows, corpus=corpus, depth=20, num_negatives=20))
    for found in mined[:3]:
        assert set(negatives(found)) <= {"c7", "c3", "c4", *(f"e{n}" for n in range(12))}
        assert {(one["language"], one["docid"]) for one in found["negative_passages"]}.isdisjoint(
            {("en", "c3"), ("en", "c4")}
        )
        assert len(found["negative_passages"]) == 15
        assert {one["language"] for one in found["negative_passages"]} == {"en", "sw"}
    assert "c7" not in negatives(mined[3])
    assert summary.removed["known"] == 3 * (8 + 2) + 1


def test_negatives_that_are_known_positives_go_out_of_what_is_kept(bench: Bench) -> None:
    """Catches a contradiction of the sources that is passed on, and given negatives that come twice."""
    rows = [
        row("g", negative_passages=[passage("n1", "no"), passage("n2", sentence("de", "pg"))]),
        row("g", "de-de", negative_passages=[]),
        *(row(f"h{n}") for n in range(6)),
    ]
    mined, summary = bench.mine(bench.config(rows, keep_given=True, num_negatives=40))
    assert mined[0]["negative_passages"][0] == passage("n1", "no")
    assert "n2" not in negatives(mined[0])
    # Everything that is no known positive, once: of g the 12 passages of the others and n1; of the others
    # 10 passages of each other, three of g's that are not their own, n1, and their own given negative.
    assert [len(one["negative_passages"]) for one in mined] == [13, 13, *[15] * 6]
    assert all(len(set(negatives(one))) == len(negatives(one)) for one in mined)
    assert (summary.given_kept, summary.given_known, summary.given_replaced) == (7, 1, 0)
    mined, summary = bench.mine(bench.config(rows, num_negatives=3))
    assert all(len(one["negative_passages"]) == 3 for one in mined)
    assert (summary.given_kept, summary.given_known, summary.given_replaced) == (0, 1, 7)


def test_margins_know_the_scores_of_positives_that_no_corpus_holds(bench: Bench) -> None:
    """Catches a margin that is passed over, or set against another language's positive, where the corpus
    has other passages than the rows."""
    corpus_rows = [passage(f"c{n}", sentence("en", f"c{n}")) for n in range(30)]
    corpus = write_corpora(bench.folder / "corpora", en=corpus_rows)
    mined, _ = bench.mine(bench.config(corpus=corpus, absolute_margin=0.005, num_negatives=30))
    positives = [one["positive_passages"][0] for one in ROWS]
    queries = [one["query"] for one in ROWS]
    lowest_Q = np.diag(bench.scores(queries, positives))
    score_QN = bench.scores(queries, corpus_rows)
    sizes = set()
    for found, lowest, score_N in zip(mined, lowest_Q, score_QN, strict=True):
        score = {one["docid"]: s for one, s in zip(corpus_rows, score_N, strict=True)}
        taken = set(negatives(found))
        assert all(score[name] <= lowest - 0.005 + 1e-5 for name in taken)
        assert all(score[name] > lowest - 0.005 - 1e-5 for name in set(score) - taken)
        sizes.add(len(taken))
    assert len(sizes) > 3  # the margin decides


def test_the_lowest_of_several_positives_counts(bench: Bench) -> None:
    """Catches the best positive, or the first, in place of the lowest."""
    two = [passage("a", sentence("en", "x")), passage("b", "winter " * 8)]
    rows = [
        row("g", positive_passages=two),
        row("h", positive_passages=two[::-1]),
        *(row(f"i{n}") for n in range(20)),
    ]
    mined, _ = bench.mine(bench.config(rows, absolute_margin=0.0, num_negatives=40))
    corpus = own_corpus(rows)
    scores = bench.scores([one["query"] for one in rows[:2]], [one for _, one in corpus.values()])
    for found, score_N in zip(mined[:2], scores, strict=True):
        score = dict(zip(corpus, score_N, strict=True))
        lowest = min(score["a"], score["b"])
        left = {n for n in score if n not in ("a", "b") and score[n] <= lowest}
        assert abs(len(left) - len(negatives(found))) <= 1
        assert all(score[name] <= lowest + 1e-5 for name in negatives(found))


def test_positives_are_scored_in_languages_that_give_no_candidates(bench: Bench) -> None:
    """Catches a cross-lingual row whose margin finds no score, as nobody searches its passages' language."""
    rows = [row("g1"), row("g2"), row("g3", "en-de")]
    mined, _ = bench.mine(bench.config(rows, language="same", absolute_margin=-2.0))
    assert [sorted(negatives(one)) for one in mined] == [
        ["n-g1-en", "n-g2-en", "p-g2-en"],
        ["n-g1-en", "n-g2-en", "p-g1-en"],
        ["n-g1-en", "n-g2-en", "p-g1-en", "p-g2-en"],
    ]
