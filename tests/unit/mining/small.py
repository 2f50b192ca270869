"""Small rows and corpora for the tests of mining."""

from collections.abc import Sequence
from pathlib import Path

from distributed_hbt.config.evaluation import EvaluationConfig
from distributed_hbt.data.example import Example, Passage
from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.corpus.survey import read_survey, survey_file
from distributed_hbt.mining.corpus_keys import Corpora
from tests.corpus_files import write_lines

LIMIT = EvaluationConfig().max_passage_characters


def make_row(
    group: str,
    query: str,
    languages: str,
    positives: Sequence[Passage],
    negatives: Sequence[Passage] = (),
) -> Example:
    """`languages` as en-de: of the query, of the passages."""
    query_language, passage_language = languages.split("-")
    return Example(group, query, query_language, passage_language, tuple(positives), tuple(negatives), "f:1")


def text(content: str, doc_id: str = "", title: str = "") -> Passage:
    return Passage(doc_id, title, content)


def surveyed(folder: Path, **corpora: Sequence[Sequence[dict[str, str]]]) -> Corpora:
    """language -> files -> passages."""
    found: dict[str, list[object]] = {}
    for language, files in corpora.items():
        for i, rows in enumerate(files):
            path = write_lines(folder / language / f"docs-{i}.jsonl.gz", *rows)
            file = CorpusFile(path, "docid", "keep")
            survey_file(file, folder / f"{language}{i}.npz", max_characters=LIMIT)
            found.setdefault(language, []).append(read_survey(file, folder / f"{language}{i}.npz"))
    return {language: tuple(surveys) for language, surveys in found.items()}  # type: ignore[misc]
