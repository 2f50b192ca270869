"""Mr. TyDi's files, wherever they lie."""

import gzip
from pathlib import Path

import pytest

from distributed_hbt.config.evaluation import MR_TYDI_LANGUAGES, MrTydiBenchmark
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.benchmarks.judged import load_judged
from distributed_hbt.evaluation.benchmarks.mr_tydi import mr_tydi_files
from distributed_hbt.evaluation.corpus.files import read_rows
from tests.corpus_files import loaded_in_a_process, passage, write_lines
from tests.local_hub import serving

PLACES = {
    "kept by anserini": ("topics.mrtydi-v1.1-sw.test.txt.gz", "qrels.mrtydi-v1.1-sw.test.txt"),
    "in folders": ("topics/topics.mrtydi-v1.1-sw.test.txt", "qrels/qrels.mrtydi-v1.1-sw.test.txt.gz"),
    "archive": ("mrtydi-v1.1-swahili/topic.test.tsv", "mrtydi-v1.1-swahili/qrels.test.txt"),
    "clone": (
        "mrtydi-v1.1-swahili/ir-format-data/topics.test.txt",
        "mrtydi-v1.1-swahili/ir-format-data/qrels.test.txt",
    ),
}


def benchmark(root: Path, **more: object) -> MrTydiBenchmark:
    settings = {"name": "mr_tydi", "root": str(root), "languages": ("sw",), **more}
    return MrTydiBenchmark.model_validate(settings)


@pytest.mark.parametrize("names", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(
    "corpus",
    [
        "corpus/sw/corpus.jsonl.gz",
        "corpus/sw/docs-0.jsonl",
        "corpus/mrtydi-v1.1-swahili/corpus.jsonl.gz",
        "mrtydi-v1.1-swahili/corpus.jsonl.gz",
    ],
)
def test_published_names_are_found_where_users_have_them(
    tmp_path: Path, names: tuple[str, str], corpus: str
) -> None:
    """A user who has to rename or move what was downloaded."""
    write_lines(tmp_path / names[0], "46\tBandari?\n")
    write_lines(tmp_path / names[1], "46 Q0 1#0 1\n")
    path = write_lines(tmp_path / corpus, passage("1#0"))
    (judged,) = load_judged(benchmark(tmp_path))
    assert judged.task == "sw"
    assert judged.qrels == {"46": {"1#0": 1}}
    assert [file.path for file in judged.corpus] == [path]


def test_another_split_is_another_file(tmp_path: Path) -> None:
    """Dev topics measured under the name of test."""
    for split in ("dev", "test"):
        write_lines(tmp_path / f"topics.mrtydi-v1.1-sw.{split}.txt", f"1\t{split}\n")
        write_lines(tmp_path / f"qrels.mrtydi-v1.1-sw.{split}.txt", "1 Q0 1#0 1\n")
    write_lines(tmp_path / "corpus/sw/corpus.jsonl", passage("1#0"))
    for split in ("dev", "test"):
        (judged,) = load_judged(benchmark(tmp_path, split=split))
        assert judged.queries[0].text == split


def test_every_language_has_its_published_folder(tmp_path: Path) -> None:
    """A language without a name, which ends in a KeyError."""
    for language in MR_TYDI_LANGUAGES:
        with pytest.raises(DataError, match=r"mrtydi-v1\.1-[a-z]{4,}/ir-format-data/topics\.test\.txt"):
            mr_tydi_files(benchmark(tmp_path, languages=(language,)), language)


def test_raw_files_come_from_the_hub_where_no_root_is_named(tmp_path: Path) -> None:
    """Names or places other than those on the hub, or what lies beside the passages taken for some."""
    folder = "mrtydi-v1.1-swahili"
    judged = {
        f"{folder}/ir-format-data/topics.test.txt": b"1\ton the hub\n",
        f"{folder}/ir-format-data/qrels.test.txt": b"1 Q0 1#0 1\n",
    }
    row = b'{"docid": "1#0", "title": "", "text": "x"}\n'
    passages = {f"{folder}/corpus.jsonl.gz": gzip.compress(row), f"{folder}/notes.txt": b"no passages"}
    repositories = {"castorini/mr-tydi": judged, "castorini/mr-tydi-corpus": passages}
    with serving(repositories) as address:
        printed = loaded_in_a_process(
            '{"name": "mr_tydi", "languages": ["sw"]}', HF_ENDPOINT=address, HF_HOME=str(tmp_path)
        )
    assert printed == ["sw on the hub corpus.jsonl.gz"]


def test_real_passages_of_all_languages_are_read(shared_data: Path, tmp_path: Path) -> None:
    """The published form of a language differs from the one that the reader expects."""
    for language in MR_TYDI_LANGUAGES:
        write_lines(tmp_path / f"topics.mrtydi-v1.1-{language}.test.txt", "1\tx\n")
        write_lines(tmp_path / f"qrels.mrtydi-v1.1-{language}.test.txt", "1 Q0 1#0 1\n")
    places = shared_data / "mrtydi-passage-samples" / "{language}.corpus.jsonl.gz"
    real = benchmark(tmp_path, languages=MR_TYDI_LANGUAGES, corpus=str(places))
    for judged in load_judged(real):
        (file,) = judged.corpus
        assert file.path.name == f"{judged.task}.corpus.jsonl.gz"
        rows = list(read_rows(file, 0, 4, max_characters=5000))
        assert len({row.doc_id for row in rows}) == 4
        assert all(len(row.text) > 40 for row in rows)
