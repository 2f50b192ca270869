"""FlagEmbedding rows: query, pos, neg, optional pos_scores and neg_scores."""

from collections.abc import Iterator

from distributed_hbt.config.data import FlagEmbeddingSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example, Passage
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.records import Record, examples
from distributed_hbt.data.formats.text_group import group_of_text
from distributed_hbt.languages import language_code


def read(source: FlagEmbeddingSource) -> Iterator[Example | BadRow]:
    """JSON lines or Parquet. Rows have no id: rows with the same query are one group.

    A row's `prompt` is ignored: prompts are the model's (`model.query_prompt`) and are put there.
    """

    def example(record: Record, where: str) -> Example:
        query = fields.text(record, "query")
        positives = _passages(record, "pos", "pos_scores")
        if not positives:
            raise RowFault("field 'pos' holds no positive passage")
        return Example(
            group_id=group_of_text(query),
            query=query,
            query_language=language_code(source.query_language),
            passage_language=language_code(source.passage_language),
            positives=positives,
            negatives=_passages(record, "neg", "neg_scores", optional=True),
            where=where,
        )

    return examples(files.expand(source.path), example)


def _passages(record: Record, name: str, score_name: str, *, optional: bool = False) -> tuple[Passage, ...]:
    texts = fields.items(record, name, optional=optional)
    scores = fields.items(record, score_name, optional=True) or [None] * len(texts)
    if len(scores) != len(texts):
        raise RowFault(f"field {score_name!r} has {len(scores)} entries for the {len(texts)} of {name!r}")
    return tuple(
        Passage(
            docid="",
            title="",
            text=fields.filled(text, f"{name}.{i}"),
            score=None if score is None else fields.number(score, f"{score_name}.{i}"),
        )
        for i, (text, score) in enumerate(zip(texts, scores, strict=True))
    )
