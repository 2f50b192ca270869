"""The pass over a corpus that finds every fault before anything is encoded."""

import gzip
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.corpus import survey as module
from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.corpus.survey import (
    FileSurvey,
    check_unique,
    corpus_fingerprint,
    find_documents,
    read_survey,
    survey_file,
)
from tests.corpus_files import Row, passage, write_lines

LIMIT = 5000

Corpus = Callable[..., list[FileSurvey]]


def surveyed(file: CorpusFile, output: Path) -> FileSurvey:
    survey_file(file, output, max_characters=LIMIT)
    survey = read_survey(file, output)
    assert survey is not None
    return survey


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """corpus([row, ...], [row, ...]): files of these rows, surveyed."""

    def write(*files: Sequence[Row]) -> list[FileSurvey]:
        paths = [write_lines(tmp_path / f"docs-{i}.jsonl.gz", *rows) for i, rows in enumerate(files)]
        return [surveyed(CorpusFile(path, "docid"), path.with_suffix(".npz")) for path in paths]

    return write


def fingerprint(corpus: Corpus, *rows: Row) -> str:
    return corpus(rows)[0].fingerprint


def test_a_survey_counts_rows_and_knows_their_ids(corpus: Corpus) -> None:
    """Blank lines counted as passages; ids in another order than the rows."""
    one, two = corpus([passage("a"), "\n", passage("b#1"), passage("ü")], [passage("c")])
    assert (one.num_rows, two.num_rows, one.max_characters) == (3, 1, LIMIT)
    assert one.id_hash_R.dtype == np.uint64
    assert len(set(one.id_hash_R.tolist())) == 3
    assert find_documents([one, two], ["c", "none", "ü", "a", "b#1", "c"]) == {
        "c": (1, 0),
        "ü": (0, 2),
        "a": (0, 0),
        "b#1": (0, 1),
    }
    assert list(find_documents([one, two], ["ü", "a"])) == ["ü", "a"]
    assert find_documents([one, two], []) == {}


def test_hashes_are_the_same_in_every_process(corpus: Corpus) -> None:
    """Ids hashed with Python's salted hash: a survey that no other process can use."""
    (survey,) = corpus([passage("59828278#1")])
    assert survey.id_hash_R.tolist() == [1847827667706445825]


def test_the_fingerprint_is_of_the_rows_alone(corpus: Corpus, tmp_path: Path) -> None:
    """Embeddings made again since a file was compressed anew, or kept though a text was changed."""
    rows = [passage("a", "one"), passage("b", "two")]
    same = fingerprint(corpus, *rows)
    plain = CorpusFile(write_lines(tmp_path / "plain.jsonl", "\n", *rows, "  \n"), "docid")
    assert surveyed(plain, tmp_path / "plain.npz").fingerprint == same
    others = [
        fingerprint(corpus, passage("a", "one"), passage("b", "twO")),
        fingerprint(corpus, passage("b", "two"), passage("a", "one")),
        fingerprint(corpus, passage("a", "one"), passage("B", "two")),
        fingerprint(corpus, passage("a", "one")),
    ]
    assert len({same, *others}) == 5


def test_the_corpus_fingerprint_knows_the_order_and_the_id_field(tmp_path: Path) -> None:
    """Embeddings of the same files in another order, whose rows are other passages."""
    rows = [{"docid": "a", "_id": "b", "text": "x"}], [{"docid": "c", "_id": "d", "text": "y"}]
    paths = [write_lines(tmp_path / f"{i}.jsonl", *content) for i, content in enumerate(rows)]
    one, two = (surveyed(CorpusFile(path, "docid"), path.with_suffix(".npz")) for path in paths)
    other = surveyed(CorpusFile(paths[0], "_id"), tmp_path / "other.npz")
    found = [corpus_fingerprint(files) for files in ([one, two], [two, one], [one], [other])]
    assert len(set(found)) == 4
    assert corpus_fingerprint([one, two]) == found[0]


def test_a_survey_is_the_same_file_whoever_makes_it(tmp_path: Path) -> None:
    """A survey with its time of making in it, which no two workers make alike."""
    file = CorpusFile(write_lines(tmp_path / "docs.jsonl", passage("a"), passage("b")), "docid")
    for name in ("one.npz", "two.npz"):
        survey_file(file, tmp_path / name, max_characters=LIMIT)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


class TestReading:
    """When a survey is there and when it is not."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> CorpusFile:
        return CorpusFile(write_lines(tmp_path / "docs.jsonl", passage("a"), passage("b")), "docid")

    @pytest.fixture
    def output(self, file: CorpusFile, tmp_path: Path) -> Path:
        output = tmp_path / "surveys" / "docs.npz"
        assert read_survey(file, output) is None
        surveyed(file, output)
        return output

    def test_a_changed_corpus_file_is_surveyed_anew(self, file: CorpusFile, output: Path) -> None:
        """A corpus that was mended or extended, evaluated by the survey of the old one."""
        seen = file.path.stat()
        write_lines(file.path, passage("a"), passage("b"), passage("c"))
        os.utime(file.path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        assert read_survey(file, output) is None

    def test_a_corpus_file_of_another_time_is_surveyed_anew(self, file: CorpusFile, output: Path) -> None:
        """A change that leaves the size as it was, overlooked."""
        seen = file.path.stat()
        write_lines(file.path, passage("a"), passage("c"))
        assert file.path.stat().st_size == seen.st_size
        os.utime(file.path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1))
        assert read_survey(file, output) is None

    def test_another_reading_of_the_file_is_surveyed_anew(self, file: CorpusFile, output: Path) -> None:
        """Blank passages that were kept, in an evaluation that refuses them; ids of another field."""
        assert read_survey(CorpusFile(file.path, "docid", "keep"), output) is None
        assert read_survey(CorpusFile(file.path, "_id"), output) is None
        assert read_survey(file, output) is not None

    def test_a_damaged_survey_is_none(self, file: CorpusFile, output: Path) -> None:
        """A survey cut off or garbled, half of whose passages are taken for all."""
        content = output.read_bytes()
        good = read_survey(file, output)
        assert good is not None
        for length in range(0, len(content), 7):
            output.write_bytes(content[:length])
            assert read_survey(file, output) is None
        flipped = bytearray(content)
        flipped[content.index(good.id_hash_R.tobytes())] ^= 1
        output.write_bytes(flipped)
        assert read_survey(file, output) is None

    def test_a_corpus_file_that_is_gone_is_an_error(self, file: CorpusFile, output: Path) -> None:
        """A survey that outlives its corpus: the evaluation fails late, at the first shard."""
        file.path.unlink()
        with pytest.raises(DataError, match=r"docs\.jsonl: can not be read \(No such file"):
            read_survey(file, output)


class TestFaults:
    """A corpus that can not be used leaves no survey."""

    def refusal(self, file: CorpusFile) -> str:
        folder = file.path.parent / "surveys"
        with pytest.raises(DataError) as error:
            survey_file(file, folder / "docs.npz", max_characters=LIMIT)
        assert list(folder.glob("*")) == []
        assert read_survey(file, folder / "docs.npz") is None
        return str(error.value)

    def test_a_bad_row_is_found(self, tmp_path: Path) -> None:
        """A fault that shows only when its shard is encoded, hours later."""
        path = write_lines(tmp_path / "docs.jsonl", passage("a"), "\n", passage("b", ""))
        assert self.refusal(CorpusFile(path, "docid")).startswith(f"{path}:3: passage 'b' is blank")
        path = write_lines(tmp_path / "long.jsonl", passage("a", "x" * 1_000_001))
        assert self.refusal(CorpusFile(path, "docid")).startswith(
            f"{path}:1: passage 'a' has 1000001 characters, more than 5000"
        )

    def test_a_truncated_gzip_is_found(self, tmp_path: Path) -> None:
        """A download that broke off, whose survey counts the passages that came."""
        path = write_lines(tmp_path / "docs.jsonl.gz", *[passage(f"{i}", f"{i * 7919}") for i in range(999)])
        path.write_bytes(path.read_bytes()[:-100])
        message = self.refusal(CorpusFile(path, "docid"))
        assert "the gzip stream is truncated or damaged here" in message
        assert int(message.removeprefix(f"{path}:").partition(":")[0]) > 500

    def test_a_gzip_with_a_wrong_checksum_is_found(self, tmp_path: Path) -> None:
        """A text that changed on the way and is still JSON: nobody reads the checksum behind the last row."""
        path = write_lines(tmp_path / "docs.jsonl.gz", passage("a"), passage("b"))
        content = bytearray(path.read_bytes())
        content[-6] ^= 1
        path.write_bytes(content)
        message = self.refusal(CorpusFile(path, "docid"))
        assert message.startswith(f"{path}:3: the gzip stream is truncated or damaged here (CRC check failed")

    def test_a_file_without_passages_is_refused(self, tmp_path: Path) -> None:
        """An empty file as a part of a corpus: a download that never began."""
        path = write_lines(tmp_path / "docs.jsonl.gz", "\n")
        assert self.refusal(CorpusFile(path, "docid")).startswith(f"{path}: holds no passage")

    def test_a_survey_that_breaks_off_is_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A survey written in place: what was there when its worker was killed looks like an output."""
        output = tmp_path / "surveys" / "docs.npz"
        file = CorpusFile(write_lines(tmp_path / "docs.jsonl", passage("a")), "docid")

        def killed(kept: BinaryIO, **arrays: object) -> None:
            kept.write(b"PK")
            kept.flush()
            assert not output.exists()
            raise KeyboardInterrupt

        monkeypatch.setattr(np, "savez", killed)
        with pytest.raises(KeyboardInterrupt):
            survey_file(file, output, max_characters=LIMIT)
        assert list(output.parent.iterdir()) == []

    def test_a_file_that_changes_meanwhile_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A corpus that is still being written, whose survey is that of its first part."""
        path = write_lines(tmp_path / "docs.jsonl", passage("a"), passage("b"))
        parse = module.parse_row

        def parse_and_write(*args: object, **kwargs: object) -> object:
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")
            return parse(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(module, "parse_row", parse_and_write)
        assert "was changed while it was read" in self.refusal(CorpusFile(path, "docid"))


def duplicate(surveys: Sequence[FileSurvey]) -> str:
    with pytest.raises(DataError) as error:
        check_unique(surveys)
    return str(error.value)


class TestUnique:
    """A doc_id stands for one passage."""

    def test_an_id_twice_in_a_file_is_refused_with_both_places(self, corpus: Corpus) -> None:
        """Two passages under one id: the judgments are on one of them, and a run holds it twice."""
        (survey,) = corpus([passage("a"), "\n", passage("b"), passage("a", "other")])
        path = survey.file.path
        assert duplicate([survey]).startswith(f"{path}:4: doc_id 'a' stands at {path}:1 already; ")

    def test_an_id_in_two_files_is_refused_with_both_places(self, corpus: Corpus) -> None:
        """A part of the corpus that is there twice; each file alone is without a fault."""
        one, two = corpus([passage("a"), passage("b")], [passage("c"), passage("b")])
        check_unique([one])
        check_unique([two])
        assert duplicate([one, two]).startswith(
            f"{two.file.path}:2: doc_id 'b' stands at {one.file.path}:2 already"
        )

    def test_different_ids_are_no_duplicates(self, corpus: Corpus) -> None:
        """Ids that differ in case or form, refused."""
        check_unique(corpus([passage("a"), passage("A")], [passage("a#0"), passage("á")]))

    def test_equal_hashes_are_no_duplicates(self, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two passages whose hashes collide, called one: a corpus that can not be evaluated."""
        monkeypatch.setattr(module, "_hash", lambda doc_id: len(doc_id))
        monkeypatch.setattr(module, "_READ_TOGETHER", 1)
        one, two = corpus([passage("a"), passage("b"), passage("ccc")], [passage("dd"), passage("ee")])
        check_unique([one, two])
        found = find_documents([one, two], ["ee", "b", "zz", "a", "none", "ccc", "zzz"])
        assert found == {"ee": (1, 1), "b": (0, 1), "a": (0, 0), "ccc": (0, 2)}

    def test_a_duplicate_among_equal_hashes_is_found(
        self, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A duplicate taken for a collision, as another id with the hash stands between the two, or as the
        hashes that were looked at first had none."""
        monkeypatch.setattr(module, "_hash", lambda doc_id: len(doc_id))
        monkeypatch.setattr(module, "_READ_TOGETHER", 1)
        one, two = corpus([passage("a"), passage("b"), passage("cc")], [passage("dd"), passage("cc")])
        assert duplicate([one, two]).startswith(
            f"{two.file.path}:2: doc_id 'cc' stands at {one.file.path}:3 already"
        )


def test_published_passages_are_surveyed(shared_data: Path, tmp_path: Path) -> None:
    """The published form differs from the one that the survey expects; counts are those of STATS.md."""
    rows = {}
    for kind in ("miracl", "mrtydi"):
        paths = sorted((shared_data / f"{kind}-passage-samples").glob("*.jsonl.gz"))
        surveys = [surveyed(CorpusFile(path, "docid"), tmp_path / f"{path.name}.npz") for path in paths]
        for survey in surveys:
            check_unique([survey])
        rows[kind] = sum(survey.num_rows for survey in surveys)
    assert rows == {"miracl": 27, "mrtydi": 44}


def test_a_large_file_is_surveyed_whole(tmp_path: Path) -> None:
    """Rows lost where blocks of the compressed file meet."""
    path = tmp_path / "docs-0.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
        for i in range(30_000):
            file.write(f'{{"docid": "{i}#0", "title": "t", "text": "{i * 7919} {"é" * (i % 400)}"}}\n')
    survey = surveyed(CorpusFile(path, "docid"), tmp_path / "docs.npz")
    assert survey.num_rows == 30_000
    check_unique([survey])
    assert find_documents([survey], ["29999#0", "0#0", "12345#0"]) == {
        "29999#0": (0, 29_999),
        "0#0": (0, 0),
        "12345#0": (0, 12_345),
    }
