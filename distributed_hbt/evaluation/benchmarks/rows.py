"""Training data as a benchmark: rows become queries, judgments and passages, written once, in BEIR's form."""

import json
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

from distributed_hbt.config.data import DataConfig
from distributed_hbt.config.evaluation import RowsBenchmark
from distributed_hbt.data.bad_rows import BadRows
from distributed_hbt.data.build_once import build_once
from distributed_hbt.data.check import good_examples
from distributed_hbt.data.example import Example, Passage
from distributed_hbt.data.store.digest import digest
from distributed_hbt.data.store.prepare import check_unchanged, data_identity
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.benchmarks.judged import JudgedCorpus, read_judged
from distributed_hbt.evaluation.benchmarks.judged_files import JudgedFiles
from distributed_hbt.evaluation.corpus.files import CorpusFile

FORMAT = 1
"""Raised whenever other files are written for the same rows."""

_TASKS = "tasks.json"


def load_rows(benchmark: RowsBenchmark, stores: Path) -> tuple[JudgedCorpus, ...]:
    """A task a query language, in alphabetical order; the files are kept in `stores`/rows.

    A query's relevant passages are the positives of its group. The corpus of a task are all passages,
    positive and negative, in the languages that answer rows of that query language. Where a row's query is
    its own passage (parallel sentences), they are those of all other languages.

    Raises DataError for data that can not be used, and for rows without any query that has an answer.
    """
    data = DataConfig(sources=benchmark.sources, max_bad_share=benchmark.max_bad_share)
    identity = {"rows": FORMAT, "bad": data.max_bad_share, **data_identity(data, stores)}
    folder = stores / "rows" / digest(identity)

    def build(partial: Path) -> None:
        _write(partial, data)
        check_unchanged(data, identity, stores)

    build_once(folder, build)
    tasks = json.loads((folder / _TASKS).read_text(encoding="utf-8"))
    if not tasks:
        where = f"benchmark {benchmark.label}"
        raise DataError(where, "no query of its sources has an answer in the corpus", "check its sources")
    return tuple(
        read_judged(_files(folder, language, answers), incomplete=False)
        for language, answers in tasks.items()
    )


def _files(folder: Path, language: str, answers: list[str]) -> JudgedFiles:
    corpus = tuple(CorpusFile(_corpus(folder, answer), "_id") for answer in answers)
    return JudgedFiles(language, "beir", _queries(folder, language), _qrels(folder, language), corpus)


def _write(folder: Path, data: DataConfig) -> None:
    with ExitStack() as files:
        written = _Written(folder, files)
        for _, example in good_examples(data, BadRows()):
            written.add(example)
        tasks = written.finish()
    (folder / _TASKS).write_text(json.dumps(tasks, ensure_ascii=False), encoding="utf-8")


class _Written:
    """Writes queries and passages as their rows come; remembers ids, and of texts only a hash."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self._folder, self._files = folder, files
        self._open: dict[Path, Any] = {}
        self._passage_ids: dict[bytes, str] = {}
        self._taken: set[str] = set()
        self._positives: dict[str, dict[str, dict[str, None]]] = {}  # group -> language -> ids, in order
        self._queries: dict[str, dict[bytes, tuple[str, str]]] = {}  # language -> text -> id and group
        self._asked: dict[tuple[str, str], int] = {}  # group and language -> number of its queries
        self._answers: dict[str, set[str]] = {}  # query language -> passage languages
        self._parallel: set[str] = set()  # query languages whose queries are their own passages
        self._languages: set[str] = set()

    def add(self, row: Example) -> None:
        """A row's query, where it is new, and its passages."""
        self._add_query(row)
        of_group = self._positives.setdefault(row.group_id, {}).setdefault(row.passage_language, {})
        for passage in row.positives:
            of_group[self._passage(row.passage_language, passage)] = None
        for passage in row.negatives:
            self._passage(row.passage_language, passage)
        self._languages.add(row.passage_language)
        answers = self._answers.setdefault(row.query_language, set())
        if row.query_language == row.passage_language and row.query == row.positives[0].text:
            self._parallel.add(row.query_language)
        else:
            answers.add(row.passage_language)

    def finish(self) -> dict[str, list[str]]:
        """Write the judgments; the passage languages of every task that has any."""
        tasks = {language: self._answer_languages(language) for language in sorted(self._answers)}
        return {language: answers for language, answers in tasks.items() if self._judge(language, answers)}

    def _answer_languages(self, language: str) -> list[str]:
        others = self._languages - {language} if language in self._parallel else set()
        return sorted(self._answers[language] | others)

    def _judge(self, language: str, answers: list[str]) -> bool:
        """Whether any query of the language is answered."""
        lines = [
            f"{query_id}\t{passage_id}\t1\n"
            for query_id, group in self._queries[language].values()
            for answer in answers
            for passage_id in self._positives[group].get(answer, {})
        ]
        self._file(_qrels(self._folder, language)).writelines(["query-id\tcorpus-id\tscore\n", *lines])
        return bool(lines)

    def _add_query(self, row: Example) -> None:
        queries = self._queries.setdefault(row.query_language, {})
        key = _hash(row.group_id, row.query)
        if key in queries:
            return
        place = row.group_id, row.query_language
        number = self._asked[place] = self._asked.get(place, 0) + 1
        query_id = _one_word(row.group_id) + (f"#{number}" if number > 1 else "")
        queries[key] = query_id, row.group_id
        self._line(_queries(self._folder, row.query_language), {"_id": query_id, "text": row.query})

    def _passage(self, language: str, passage: Passage) -> str:
        """Its id: the data's where that is one word and names no other text."""
        key = _hash(language, passage.title, passage.text)
        known = self._passage_ids.get(key)
        if known is not None:
            return known
        fits = passage.docid.split() == [passage.docid] and passage.docid not in self._taken
        chosen = self._passage_ids[key] = passage.docid if fits else f"text:{key.hex()}"
        self._taken.add(chosen)
        content = {"_id": chosen, "title": passage.title, "text": passage.text}
        self._line(_corpus(self._folder, language), content)
        return chosen

    def _line(self, path: Path, content: dict[str, str]) -> None:
        self._file(path).write(json.dumps(content, ensure_ascii=False) + "\n")

    def _file(self, path: Path) -> Any:
        if path not in self._open:
            self._open[path] = self._files.enter_context(path.open("w", encoding="utf-8", newline="\n"))
        return self._open[path]


def _one_word(name: str) -> str:
    """An id that a run file can hold."""
    return name if name.split() == [name] else f"group:{_hash(name).hex()}"


def _hash(*parts: str) -> bytes:
    return blake2b(json.dumps(parts).encode(), digest_size=12).digest()


def _queries(folder: Path, language: str) -> Path:
    return folder / f"queries-{quote(language, safe='')}.jsonl"


def _qrels(folder: Path, language: str) -> Path:
    return folder / f"qrels-{quote(language, safe='')}.tsv"


def _corpus(folder: Path, language: str) -> Path:
    return folder / f"corpus-{quote(language, safe='')}.jsonl"
