"""The passages that the sources bring themselves, as a corpus to search."""

import json
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from distributed_hbt.data.example import Passage
from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.whole_file import written_whole


class SourceCorpus:
    """Takes passages one by one and writes the distinct ones of each language into a file of its own.

    A passage keeps its id, unless it has none, one with white space, or one that another passage of its
    language has taken: then a digest of its title and text is put to it. The files are there once the
    context is left. Memory: about 250 bytes a distinct passage.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._files: dict[str, TextIO] = {}
        self._id_of: dict[bytes, str] = {}
        self._taken: set[bytes] = set()

    def __enter__(self) -> Self:
        self._stack.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, language: str, passage: Passage) -> str:
        """The passage's id in the corpus; raises WorkerFailed where the file can not be written."""
        content = _digest(language, passage.title, passage.text)
        doc_id = self._id_of.get(content)
        if doc_id is None:
            doc_id = self._id_of[content] = self._free_id(language, passage, content)
            row = {"docid": doc_id, "title": passage.title, "text": passage.text}
            self._file(language).write(json.dumps(row, ensure_ascii=False) + "\n")
        return doc_id

    def id_of(self, language: str, passage: Passage) -> str:
        """The id of a passage that was added."""
        return self._id_of[_digest(language, passage.title, passage.text)]

    @property
    def files(self) -> dict[str, tuple[CorpusFile, ...]]:
        """Language to its file."""
        return {language: (CorpusFile(self._path(i), "docid"),) for i, language in enumerate(self._files)}

    def _free_id(self, language: str, passage: Passage, content: bytes) -> str:
        own = passage.docid if passage.docid.split() == [passage.docid] else ""
        doc_id = own or f"text~{content.hex()}"
        while _digest(language, doc_id) in self._taken:
            doc_id = f"{doc_id}~{content.hex()}"
        self._taken.add(_digest(language, doc_id))
        return doc_id

    def _file(self, language: str) -> TextIO:
        if language not in self._files:
            path = self._path(len(self._files))
            partial = self._stack.enter_context(written_whole(path))
            self._files[language] = self._stack.enter_context(partial.open("w", encoding="utf-8"))
        return self._files[language]

    def _path(self, position: int) -> Path:
        """Languages are numbered, as a code may hold what a file's name can not."""
        return self._folder / f"docs-{position:03d}.jsonl"


def _digest(*parts: str) -> bytes:
    """128 bits; lengths go in too, so that ("a", "b") is not ("ab", "")."""
    hashed = blake2b(digest_size=16)
    for part in parts:
        content = part.encode()
        hashed.update(len(content).to_bytes(8, "little"))
        hashed.update(content)
    return hashed.digest()
