"""The one form that every format becomes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage; `score` is a reranker's, where the data has one."""

    docid: str
    title: str
    text: str
    score: float | None = None

    @property
    def full_text(self) -> str:
        """Title and text as they are encoded."""
        return f"{self.title} {self.text}" if self.title else self.text


@dataclass(frozen=True, slots=True)
class Example:
    """One query with its passages in one language.

    Examples with one `group_id` ask the same question in different languages: any query of a group is
    answered by any positive passage of the group, and none of those ever counts as its negative.
    `where` is file:line of the row.
    """

    group_id: str
    query: str
    query_language: str
    passage_language: str
    positives: tuple[Passage, ...]
    negatives: tuple[Passage, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that gives no example, and why."""

    where: str
    reason: str
