"""MIRACL's files, wherever they lie."""

import gzip
import shutil
from pathlib import Path

import pytest

from distributed_hbt.config.evaluation import MIRACL_LANGUAGES, MiraclBenchmark
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.benchmarks.judged import check_judgments, load_judged
from distributed_hbt.evaluation.benchmarks.miracl import miracl_files
from distributed_hbt.evaluation.corpus.survey import read_survey, survey_file
from tests.corpus_files import loaded_in_a_process, passage, write_lines
from tests.local_hub import serving

COUNTS = {
    "ar": (2896, 29197, 5658),
    "bn": (411, 4206, 863),
    "de": (305, 3144, 811),
    "en": (799, 8350, 2326),
    "es": (648, 6443, 2987),
    "fa": (632, 6571, 1314),
    "fi": (1271, 12008, 2447),
    "fr": (343, 3429, 731),
    "hi": (350, 3494, 752),
    "id": (960, 9668, 3088),
    "ja": (860, 8354, 1790),
    "ko": (213, 3057, 547),
    "ru": (1252, 13100, 3560),
    "sw": (482, 5092, 910),
    "te": (828, 1606, 854),
    "th": (733, 7573, 1343),
    "yo": (119, 1188, 144),
    "zh": (393, 3928, 994),
}
"""Topics, judgments and relevant ones of the dev split, counted from the files with other code."""


def benchmark(
    root: Path, *languages: str, corpus: Path | str | None = None, **more: object
) -> MiraclBenchmark:
    return MiraclBenchmark.model_validate(
        {
            "name": "miracl",
            "root": str(root),
            "languages": languages or ("sw",),
            "corpus": None if corpus is None else str(corpus),
            **more,
        }
    )


def write_judgments(folder: Path, names: tuple[str, str], language: str = "sw") -> None:
    topics, qrels = (name.replace("<lang>", language) for name in names)
    write_lines(folder / topics, f"1\tquery in {language}\n")
    write_lines(folder / qrels, "1\tQ0\ta\t1\n")


FLAT = ("topics.miracl-v1.0-<lang>-dev.tsv", "qrels.miracl-v1.0-<lang>-dev.tsv")
APART = (f"topics/{FLAT[0]}", f"qrels/{FLAT[1]}")
CLONE = (f"miracl-v1.0-<lang>/topics/{FLAT[0]}", f"miracl-v1.0-<lang>/qrels/{FLAT[1]}")


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("names", [FLAT, APART, CLONE], ids=["flat", "apart", "clone"])
@pytest.mark.parametrize(
    "corpus", ["corpus/sw", "corpus/miracl-corpus-v1.0-sw", "miracl-corpus-v1.0-sw"], ids=lambda c: c[:12]
)
def test_published_names_are_found_where_users_have_them(
    tmp_path: Path, suffix: str, names: tuple[str, str], corpus: str
) -> None:
    """A user who has to rename or move what was downloaded."""
    write_judgments(tmp_path, (names[0] + suffix, names[1] + suffix))
    path = write_lines(tmp_path / corpus / f"docs-0.jsonl{suffix}", passage("a"))
    (judged,) = load_judged(benchmark(tmp_path))
    assert [query.text for query in judged.queries] == ["query in sw"]
    assert [file.path for file in judged.corpus] == [path]


@pytest.mark.parametrize("place", ["{language}", "{language}/docs-*.jsonl.gz", "{language}/docs-0.jsonl.gz"])
def test_the_corpus_may_lie_elsewhere(tmp_path: Path, place: str) -> None:
    """Topics in one place and 26 GB of passages in another, on another disk."""
    for language in ("sw", "yo"):
        write_judgments(tmp_path / "judged", FLAT, language)
        write_lines(tmp_path / "passages" / language / "docs-0.jsonl.gz", passage("a"))
    both = benchmark(tmp_path / "judged", "yo", "sw", corpus=tmp_path / "passages" / place)
    found = load_judged(both)
    assert [judged.task for judged in found] == ["yo", "sw"]
    assert [[file.path.parent.name for file in judged.corpus] for judged in found] == [["yo"], ["sw"]]
    assert [judged.queries[0].text for judged in found] == ["query in yo", "query in sw"]


def test_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """docs-10 before docs-2, or an order that depends on the file system: other shards on every machine."""
    write_judgments(tmp_path, FLAT)
    for number in (10, 2, 0, 11, 1, *range(3, 10)):
        write_lines(tmp_path / "corpus/sw" / f"docs-{number}.jsonl.gz", passage(f"{number}"))
    for name in ("README.md", "docs-3.jsonl.gz.incomplete", ".docs-4.jsonl.gz"):
        write_lines(tmp_path / "corpus/sw" / name, "no passages\n")
    files = miracl_files(benchmark(tmp_path), "sw")
    assert [file.path.name for file in files.corpus] == [f"docs-{n}.jsonl.gz" for n in range(12)]


def test_a_part_of_the_corpus_that_is_missing_is_named(tmp_path: Path) -> None:
    """A download that was stopped between two files, taken for the whole corpus."""
    write_judgments(tmp_path, FLAT)
    for number in (0, 2, 3):
        write_lines(tmp_path / "corpus/sw" / f"docs-{number}.jsonl.gz", passage(f"{number}"))
    with pytest.raises(DataError, match=r"corpus/sw: docs-1\.jsonl\.gz is missing while docs-3"):
        miracl_files(benchmark(tmp_path), "sw")
    assert len(miracl_files(benchmark(tmp_path, incomplete=True), "sw").corpus) == 3


def test_what_is_not_there_is_named_with_where_it_was_looked_for(tmp_path: Path) -> None:
    """A message that leaves open what name and place is expected."""
    with pytest.raises(DataError) as error:
        miracl_files(benchmark(tmp_path), "sw")
    assert str(error.value).startswith(f"{tmp_path}: holds neither topics/topics.miracl-v1.0-sw-dev.tsv, ")
    write_judgments(tmp_path, FLAT)
    with pytest.raises(DataError) as error:
        miracl_files(benchmark(tmp_path), "sw")
    assert str(error.value).startswith(
        f"{tmp_path}/corpus/sw: no passages (docs-*.jsonl.gz or corpus.jsonl.gz)"
    )
    assert f", nor in {tmp_path}/miracl-corpus-v1.0-sw; " in str(error.value)
    with pytest.raises(DataError, match=r"holds neither topics/topics\.miracl-v1\.0-sw-train\.tsv"):
        miracl_files(benchmark(tmp_path, split="train"), "sw")


def test_blank_passages_are_kept_where_the_benchmark_says_so(tmp_path: Path) -> None:
    """A setting that does not reach the reader."""
    write_judgments(tmp_path, FLAT)
    write_lines(tmp_path / "corpus/sw/docs-0.jsonl", passage("a", ""))
    (file,) = miracl_files(benchmark(tmp_path, blank_passages="keep"), "sw").corpus
    assert file.blank_passages == "keep"


def test_real_topics_and_judgments_of_all_languages_are_read(shared_data: Path, tmp_path: Path) -> None:
    """Topics or judgments of some language lost, cut or refused."""
    assert set(COUNTS) == set(MIRACL_LANGUAGES)
    for language in MIRACL_LANGUAGES:
        write_lines(tmp_path / language / "docs-0.jsonl.gz", passage("a"))
    real = benchmark(shared_data / "miracl-dev", *MIRACL_LANGUAGES, corpus=tmp_path / "{language}")
    counted = {
        judged.task: (
            len(judged.queries),
            sum(map(len, judged.qrels.values())),
            sum(relevance > 0 for of_query in judged.qrels.values() for relevance in of_query.values()),
        )
        for judged in load_judged(real)
    }
    assert counted == COUNTS


def test_real_judgments_meet_the_documents_of_a_corpus(shared_data: Path, tmp_path: Path) -> None:
    """Published doc_ids, such as 32589#0, that do not meet those of the passages."""
    dev = shared_data / "miracl-dev"
    with gzip.open(dev / "qrels.miracl-v1.0-sw-dev.tsv.gz", "rt", encoding="utf-8") as file:
        lines = [line.split("\t") for line in file]
    doc_ids = list(dict.fromkeys(line[2] for line in lines))
    assert len(doc_ids) == 3514
    write_lines(tmp_path / "docs-0.jsonl.gz", *[passage(doc_id) for doc_id in doc_ids[:2000]])
    write_lines(tmp_path / "docs-1.jsonl.gz", *[passage(doc_id) for doc_id in doc_ids[2000:-1]])
    (judged,) = load_judged(benchmark(dev, corpus=tmp_path))
    surveys = []
    for part in judged.corpus:
        survey_file(part, tmp_path / f"{part.path.name}.npz", max_characters=99)
        survey = read_survey(part, tmp_path / f"{part.path.name}.npz")
        assert survey is not None
        surveys.append(survey)
    assert check_judgments(judged, surveys, incomplete=True) == {doc_ids[-1]}
    first = next(number for number, line in enumerate(lines, start=1) if line[2] == doc_ids[-1])
    with pytest.raises(DataError, match=rf"qrels\.miracl-v1\.0-sw-dev\.tsv\.gz:{first}: document"):
        check_judgments(judged, surveys, incomplete=False)


def test_a_truncated_qrels_file_is_refused(shared_data: Path, tmp_path: Path) -> None:
    """Judgments of a file that broke off, taken for all."""
    for name in ("topics.miracl-v1.0-sw-dev.tsv.gz", "qrels.miracl-v1.0-sw-dev.tsv.gz"):
        shutil.copyfile(shared_data / "miracl-dev" / name, tmp_path / name)
    write_lines(tmp_path / "corpus/sw/docs-0.jsonl.gz", passage("a"))
    qrels = tmp_path / "qrels.miracl-v1.0-sw-dev.tsv.gz"
    qrels.write_bytes(qrels.read_bytes()[:9000])
    with pytest.raises(DataError, match=r"qrels\.miracl-v1\.0-sw-dev\.tsv\.gz:\d+: the gzip stream is trunc"):
        load_judged(benchmark(tmp_path))


def test_raw_files_come_from_the_hub_where_no_root_is_named(tmp_path: Path) -> None:
    """Names or places other than those on the hub; files that need the network though they are there."""
    judged, passages = {}, {}
    for language in ("sw", "yo"):
        folder = f"miracl-v1.0-{language}"
        judged[f"{folder}/topics/topics.{folder}-dev.tsv"] = f"1\tin {language}\n".encode()
        judged[f"{folder}/topics/topics.{folder}-train.tsv"] = b"2\ttrain\n"
        judged[f"{folder}/qrels/qrels.{folder}-dev.tsv"] = b"1\tQ0\ta\t1\n"
        for number in range(11):
            row = f'{{"docid": "{number}", "title": "", "text": "x"}}\n'.encode()
            passages[f"miracl-corpus-v1.0-{language}/docs-{number}.jsonl.gz"] = gzip.compress(row)
    repositories = {"miracl/miracl": judged, "miracl/miracl-corpus": passages}
    settings = '{"name": "miracl", "languages": ["yo", "sw"]}'
    names = " ".join(f"docs-{number}.jsonl.gz" for number in range(11))
    expected = [f"yo in yo {names}", f"sw in sw {names}"]
    with serving(repositories) as address:
        assert loaded_in_a_process(settings, HF_ENDPOINT=address, HF_HOME=str(tmp_path)) == expected
    assert loaded_in_a_process(settings, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1") == expected
