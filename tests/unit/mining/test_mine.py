"""Mining as a whole, with a tiny random encoder, set against all scores of everything."""

import gzip
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.example import Example
from distributed_hbt.data.sources import read_source
from distributed_hbt.data.store.prepare import prepare_store
from distributed_hbt.errors import ConfigError
from distributed_hbt.evaluation.encode import encode
from distributed_hbt.evaluation.jobs.job import Executor, Job
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.mining.encoder import encoder_choice
from distributed_hbt.mining.mine import mine
from distributed_hbt.mining.summary import Summary
from distributed_hbt.models.saved import load_encoder
from tests.corpus_files import passage, write_lines
from tests.tiny_encoder import write_checkpoint

Row = dict[str, Any]
WORDS = {
    "en": ["river", "island", "city", "mountain", "king", "war", "song", "bridge", "ship", "winter"],
    "de": ["Fluss", "Insel", "Stadt", "Berg", "Koenig", "Krieg", "Lied", "Bruecke", "Schiff", "Winter"],
    "sw": ["mto", "kisiwa", "mji", "mlima", "mfalme", "vita", "wimbo", "daraja", "meli", "baridi"],
}


def sentence(language: str, seed: str) -> str:
    draw = random.Random(f"{language} {seed}")
    return " ".join(draw.choices(WORDS[language], k=draw.randint(3, 9)))


def row(group: str, languages: str = "en-en", **changes: Any) -> Row:
    """One positive, `p-<group>-<language>`, and one negative."""
    asked, answered = languages.split("-")
    content = {
        "group_id": group,
        "query": f"{sentence(asked, f'q{group}')} ?",
        "query_language": asked,
        "passage_language": answered,
        "positive_passages": [
            passage(f"p-{group}-{answered}", sentence(answered, f"p{group}"), f"title {group}")
        ],
        "negative_passages": [passage(f"n-{group}-{answered}", sentence(answered, f"n{group}"))],
    }
    return content | changes


ROWS = [row(f"g{n}", f"{language}-{language}") for n in range(14) for language in ("en", "de")]
ROWS += [row("g3", "de-en"), row("g20", "sw-en"), row("g21", "sw-sw")]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [sentence(language, str(n)) for language in WORDS for n in range(100)]
    return write_checkpoint(tmp_path_factory.mktemp("mining") / "step-00000010", texts)


@dataclass
class Bench:
    """A folder to mine in."""

    folder: Path
    checkpoint: Path

    def config(self, rows: Sequence[Row] = ROWS, **settings: Any) -> RunConfig:
        """`settings` are those of mining; `seed` is the run's, `shard_rows` the evaluation's."""
        source = write_lines(self.folder / "rows.jsonl", *rows)
        seed, shard_rows = settings.pop("seed", 13), settings.pop("shard_rows", 7)
        return validate(
            {
                "name": "run",
                "output_dir": str(self.folder / "runs"),
                "seed": seed,
                "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": "of the checkpoint"},
                "data": {"sources": [{"format": "hbt_jsonl", "path": str(source)}]},
                "evaluation": {"shard_rows": shard_rows, "max_tokens_per_batch": 256},
                "mining": {"num_negatives": 4, **settings},
            }
        )

    def encoder(self, config: RunConfig) -> EncoderChoice:
        return encoder_choice(config.evaluation, self.checkpoint)

    def mine(
        self, config: RunConfig, out: str = "out.jsonl", executor: Executor | None = None
    ) -> tuple[list[Row], Summary]:
        path = self.folder / out
        summary = mine(config, self.encoder(config), path, executor or LocalExecutor("cpu"))
        assert not path.with_name(f"{out}.work").exists()
        content = gzip.decompress(path.read_bytes()) if out.endswith(".gz") else path.read_bytes()
        return [json.loads(line) for line in content.decode().splitlines()], summary

    def scores(self, queries: Sequence[str], passages: Sequence[Row]) -> np.ndarray:
        """Of every query with every passage, each text alone in its batch."""
        loaded = load_encoder(self.checkpoint / "encoder")

        def embed(tokens: list[list[int]]) -> np.ndarray:
            return encode(loaded.encoder, loaded.texts, tokens, max_tokens_per_batch=1)

        texts = [f"{p['title']} {p['text']}" if p["title"] else p["text"] for p in passages]
        return embed(loaded.texts.queries(queries)) @ embed(loaded.texts.passages(texts)).T


@pytest.fixture
def bench(tmp_path: Path, checkpoint: Path) -> Bench:
    return Bench(tmp_path, checkpoint)


def negatives(mined: Row) -> list[str]:
    return [negative["docid"] for negative in mined["negative_passages"]]


def own_corpus(rows: Sequence[Row]) -> dict[str, tuple[str, Row]]:
    """docid -> (language, passage) of all passages of the rows."""
    return {
        one["docid"]: (of["passage_language"], one)
        for of in rows
        for one in of["positive_passages"] + of["negative_passages"]
    }


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


def write_corpora(folder: Path, **corpora: Sequence[Row]) -> dict[str, str]:
    for language, rows in corpora.items():
        half = len(rows) // 2
        write_lines(folder / language / "docs-0.jsonl.gz", *rows[:half])
        write_lines(folder / language / "docs-1.jsonl.gz", *rows[half:])
    return {language: str(folder / language) for language in corpora}


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


class Backwards:
    """Does jobs from the last to the first; as several workers might."""

    def __init__(self, stop_after: int | None = None) -> None:
        """`stop_after` so many jobs the process is killed."""
        self._local = LocalExecutor("cpu")
        self._left = stop_after
        self.ran: list[Path] = []

    def run(self, jobs: Sequence[Job], label: str) -> None:
        for job in list(jobs)[::-1]:
            if self._left == len(self.ran):
                raise KeyboardInterrupt
            if not job.output.exists():
                self.ran.append(job.output)
                self._local.run([job], label)


def test_the_bytes_depend_on_no_order_of_jobs(bench: Bench) -> None:
    """Catches negatives that change with the number of workers, and a time stamp in the gzip file."""
    config = bench.config(choice="random", absolute_margin=0.001)
    bench.mine(config, "one.jsonl.gz")
    bench.mine(config, "two.jsonl.gz", Backwards())
    assert (bench.folder / "one.jsonl.gz").read_bytes() == (bench.folder / "two.jsonl.gz").read_bytes()


@pytest.mark.parametrize("jobs_done", [0, 1, 5, 9])
def test_a_killed_run_goes_on_from_what_is_done(bench: Bench, jobs_done: int) -> None:
    """Catches work that is done again, half a file in place, and a second run that gives something else."""
    config = bench.config(absolute_margin=0.001)
    bench.mine(config, "clean.jsonl")
    killed = Backwards(stop_after=jobs_done)
    with pytest.raises(KeyboardInterrupt):
        bench.mine(config, executor=killed)
    assert not (bench.folder / "out.jsonl").exists()
    again = Backwards()
    bench.mine(config, executor=again)
    # The survey of files that are written anew is taken again; nothing that was encoded is.
    assert not {path for path in killed.ran if path.parent.name != "corpora"} & set(again.ran)
    assert (bench.folder / "out.jsonl").read_bytes() == (bench.folder / "clean.jsonl").read_bytes()


def test_other_rows_or_rules_do_not_take_over_what_a_killed_run_left(bench: Bench) -> None:
    """Catches hits of the rows as they were before the user mended them."""
    with pytest.raises(KeyboardInterrupt):
        bench.mine(bench.config(), executor=Backwards(stop_after=12))
    changed = [row(f"g{n}", query=f"winter {n}") for n in range(10)]
    config = bench.config(changed, depth=5)
    first, _ = bench.mine(config)
    second, _ = bench.mine(config, "clean.jsonl")
    assert first == second


def test_a_mistake_in_the_second_command_costs_nothing(bench: Bench) -> None:
    """Catches the hours of a killed run removed because the next command had a wrong setting."""
    killed = Backwards(stop_after=12)
    with pytest.raises(KeyboardInterrupt):
        bench.mine(bench.config(), executor=killed)
    with pytest.raises(ConfigError, match="leaves nothing to search"):
        bench.mine(bench.config(corpus={"fi": str(bench.folder / "rows.jsonl")}, language="same"))
    again = Backwards()
    bench.mine(bench.config(), executor=again)
    assert not {path for path in killed.ran if path.parent.name != "corpora"} & set(again.ran)


def test_a_language_that_no_folder_can_be_named_by_stays_in_the_work_folder(bench: Bench) -> None:
    """Catches a code with slashes in it that leads out of the folder which is removed at the end."""
    config = bench.config([row("g1"), row("g2"), row("g3") | {"passage_language": "../../x"}])
    out = bench.folder / "deep" / "out.jsonl"
    summary = mine(config, bench.encoder(config), out, LocalExecutor("cpu"))
    assert summary.rows == 3
    assert {path.name for path in bench.folder.iterdir()} - {"runs"} == {"deep", "rows.jsonl"}
    assert list(out.parent.iterdir()) == [out]


def test_a_random_choice_is_the_row_s_own(bench: Bench) -> None:
    """Catches one generator for all rows: with other rows before it a row would get other negatives."""
    config = bench.config(choice="random")
    mined, _ = bench.mine(config)
    shuffled = ROWS[::-1]
    again, _ = bench.mine(bench.config(shuffled, choice="random"))
    assert [set(negatives(one)) for one in again[::-1]] == [set(negatives(one)) for one in mined]
    assert len({name for one in mined for name in negatives(one)}) > 35  # of 62: not the same lots for all
    other, _ = bench.mine(bench.config(choice="random", seed=14))
    assert [negatives(one) for one in other] != [negatives(one) for one in mined]


def test_both_formats_and_the_store_read_what_is_written(bench: Bench) -> None:
    """Catches a field under another name, a null where a reader wants a text, and negatives that the store
    throws away as positives."""
    mined, _ = bench.mine(bench.config())
    out = str(bench.folder / "out.jsonl")
    content = json.loads(bench.config().model_dump_json())
    for source in (
        {"format": "hbt_jsonl", "path": out},
        {"format": "tevatron", "path": out, "query_language": "en", "passage_language": "en"},
    ):
        config = validate({**content, "data": {"sources": [source]}})
        rows = list(read_source(config.data.sources[0], 0))
        assert all(isinstance(one, Example) for one in rows)
        examples = [one for one in rows if isinstance(one, Example)]
        assert [[n.docid for n in one.negatives] for one in examples] == [negatives(one) for one in mined]
        assert len({one.group_id for one in examples}) == len({one["group_id"] for one in ROWS})
        texts = load_encoder(bench.checkpoint / "encoder").texts
        store = prepare_store(config, texts, bench.folder / "stores" / source["format"])
        assert store.bad_rows.bad == 0
        negative_texts = {(one["group_id"], n["text"]) for one in mined for n in one["negative_passages"]}
        kept = np.load(next(store_folder(bench.folder / "stores" / source["format"], "negative_values")))
        if source["format"] == "tevatron":  # one language pair: all negatives of a group are one list
            assert len(kept) == len(negative_texts)


def store_folder(folder: Path, name: str) -> Any:
    return folder.glob(f"*/index/{name}.npy")


def test_a_single_pair_is_read_as_tevatron(bench: Bench) -> None:
    """Catches query ids that part the rows of one group."""
    rows = [row("g1"), row("g1", positive_passages=[passage("p2", "two")]), row("g2"), row("g3")]
    mined, _ = bench.mine(bench.config(rows))
    assert [one["query_id"] for one in mined] == ["g1", "g1", "g2", "g3"]
    assert all({"p2", "p-g1-en"}.isdisjoint(negatives(one)) for one in mined[:2])


def test_rows_that_get_less_are_counted(bench: Bench) -> None:
    """Catches rows without negatives that nobody hears of."""
    rows = [row("g1"), row("g2"), row("g3", "sw-sw", negative_passages=[])]
    mined, summary = bench.mine(bench.config(rows, language="same"))
    assert [len(one["negative_passages"]) for one in mined] == [3, 3, 0]
    assert (summary.short, summary.empty) == (3, {"sw-sw": 1})
    assert summary.mean == 2.0


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([row("g1"), row("g2")], {"language": "other"}, "mining.language: other leaves nothing to search"),
        ([row("g1", "sw-en")], {"language": "same"}, "queries in sw, passages in en; choose another"),
    ],
)
def test_languages_that_leave_nothing_are_refused(
    bench: Bench, rows: list[Row], settings: dict[str, Any], message: str
) -> None:
    """Catches a run that encodes everything and then writes rows without a negative."""
    with pytest.raises(ConfigError, match=message):
        bench.mine(bench.config(rows, **settings))


def test_a_dimension_that_the_encoder_lacks_is_refused_before_the_data_is_read(bench: Bench) -> None:
    """Catches hours of reading before the first shard fails."""
    settings = bench.config().evaluation.model_copy(update={"dimension": 33})
    with pytest.raises(ConfigError, match=r"evaluation\.dimension: 33 is more than the embedding's 32; "):
        encoder_choice(settings, bench.checkpoint)
    assert encoder_choice(settings.model_copy(update={"dimension": 32}), bench.checkpoint).dimension == 32


def test_two_runs_into_one_file_do_not_meet(bench: Bench) -> None:
    """Catches the first that ends and takes the work folder from under the second."""

    class Meanwhile(Backwards):
        def run(self, jobs: Sequence[Job], label: str) -> None:
            with pytest.raises(ConfigError, match="another process mines into"):
                bench.mine(bench.config())
            super().run(jobs, label)

    bench.mine(bench.config(), executor=Meanwhile())


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the choice blind to known positives."""

    def blind() -> None:
        monkeypatch.setattr("distributed_hbt.mining.known.KnownPositives.most", lambda *_: 50)
        monkeypatch.setattr("distributed_hbt.mining.choose._no_candidate", lambda *_: None)

    return blind


def test_the_last_look_stops_what_the_rules_let_through(bench: Bench, planted: Callable[[], None]) -> None:
    """Catches a promise that only the code that may break it looks after."""
    planted()
    with pytest.raises(Exception, match="is a known positive of group"):
        bench.mine(bench.config())
    assert not (bench.folder / "out.jsonl").exists()
