"""Where training examples come from: one class a format, told apart by `format`.

A path is a local file, folder or glob, or `hf://datasets/<owner>/<name>[@revision]/<path or glob>`.
Relative local paths are taken from `data.root` where it is set, else from the run file's folder, then
from the working directory. Languages are ISO 639-1 where such a code exists (`eng` and `en` are one).
"""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from distributed_hbt.config.base import DataPath, Language, RunPath, Section
from distributed_hbt.languages import language_code


class SourceBase(Section):
    """What every source has."""

    weight: float | None = Field(default=None, gt=0)
    """Share of the rows of a language that come from this source; all sources have one or none has."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the source's groups that is used, for studies of how much data is needed. A group is taken or
    left with all its languages, and a smaller share is part of a larger one."""
    group_namespace: str | None = None
    """Sources with one namespace share group ids. Default: `hbt_jsonl` sources share theirs, as do
    `squad` sources; any other source keeps its ids to itself."""


class HbtJsonlSource(SourceBase):
    """The native row: group_id, query, query_language, passage_language, positive_passages, ..."""

    format: Literal["hbt_jsonl"]
    path: DataPath


class TevatronSource(SourceBase):
    """Tevatron v1 and MIRACL training rows: query_id, query, positive_passages, negative_passages."""

    format: Literal["tevatron"]
    path: DataPath
    query_language: Language
    passage_language: Language


class TevatronV2Source(SourceBase):
    """Tevatron v2: rows of ids (query_text, positive_document_ids, ...) and a corpus."""

    format: Literal["tevatron_v2"]
    path: DataPath
    corpus: DataPath
    query_language: Language
    passage_language: Language


class MiraclSource(SourceBase):
    """MIRACL's raw files: topics, qrels and docs-*.jsonl.gz of one language."""

    format: Literal["miracl"]
    topics: DataPath
    qrels: DataPath
    corpus: DataPath
    language: Language


class FlagEmbeddingSource(SourceBase):
    """FlagEmbedding rows: query, pos, neg, optional pos_scores, neg_scores, prompt."""

    format: Literal["flagembedding"]
    path: DataPath
    query_language: Language
    passage_language: Language


class BeirSource(SourceBase):
    """A BEIR folder: corpus.jsonl, queries.jsonl, qrels/<split>.tsv."""

    format: Literal["beir"]
    path: DataPath
    split: str = "train"
    qrels: DataPath | None = None
    """Judgments that lie elsewhere than in `qrels/<split>.tsv` (the hub keeps them apart)."""
    query_language: Language
    passage_language: Language


class ColumnsSource(SourceBase):
    """sentence-transformers columns in their order: anchor, positive, negative_1 ... negative_n.

    JSON lines, CSV or TSV with a header, or Parquet.
    """

    format: Literal["columns"]
    path: DataPath
    query_language: Language
    passage_language: Language


def _one_name_each(languages: Iterable[str]) -> None:
    """Two names of one language would put two queries of it into each group."""
    named: dict[str, str] = {}
    for language in languages:
        code = language_code(language)
        if code in named:
            raise ValueError(f"{named[code]} and {language} name one language; keep one of them")
        named[code] = language


class SquadSource(SourceBase):
    """SQuAD-style JSON, parallel across languages by question id (XQuAD, XQuAD-R, MLQA, SQuAD).

    `path` holds `{language}` once for several languages, for example `xquad-r/{language}.json.gz`.
    """

    format: Literal["squad"]
    path: DataPath
    languages: tuple[Language, ...] = Field(min_length=1)
    passage: Literal["paragraph", "sentence", "sentence_with_context"] = "paragraph"
    """What answers the question: its paragraph, or the sentence that holds the answer."""
    negatives: Literal["none", "paragraph"] = "none"
    """`paragraph`: the other sentences of the paragraph are hard negatives (not with passage: paragraph)."""
    article_range: tuple[int, int] | None = None
    """Half-open slice of article positions; null for all."""

    @model_validator(mode="after")
    def _path_names_the_language(self) -> Self:
        if len(self.languages) > 1 and "{language}" not in self.path:
            raise ValueError("path has no {language} though several languages are named; write it into path")
        if self.article_range is not None and not 0 <= self.article_range[0] < self.article_range[1]:
            raise ValueError("article_range is no range; give [first, stop] with first < stop")
        if self.negatives == "paragraph" and self.passage == "paragraph":
            raise ValueError("negatives: paragraph needs sentences; set passage: sentence")
        _one_name_each(self.languages)
        return self


class AfriqaSource(SourceBase):
    """AfriQA's gold passages: a question in an African language, its passage in English or French.

    `path` holds `{language}` for several languages, for example
    `afriqa-gold/gold_span_passages.afriqa.{language}.*.train.json*`.
    """

    format: Literal["afriqa"]
    path: DataPath
    languages: tuple[Language, ...] = Field(min_length=1)
    """Of the questions, as the names of the files have them (bem, fon, hau ...)."""
    passage_language: Language | None = None
    """null: French for questions in Fon and Wolof, English for all others, as published."""
    translated_questions: bool = False
    """Ask each question in the passage's language too, as a row of the same group."""

    @model_validator(mode="after")
    def _path_names_the_language(self) -> Self:
        if len(self.languages) > 1 and "{language}" not in self.path:
            raise ValueError("path has no {language} though several languages are named; write it into path")
        _one_name_each(self.languages)
        return self


class MmarcoSource(SourceBase):
    """mMARCO: triples of ids (query, positive, negative) with collections and queries per language."""

    format: Literal["mmarco"]
    triples: DataPath
    queries: DataPath
    """TSV `id<TAB>text`; holds `{language}`."""
    collection: DataPath
    """TSV `id<TAB>text`; holds `{language}`."""
    languages: tuple[Language, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _paths_name_the_language(self) -> Self:
        for name in ("queries", "collection"):
            if len(self.languages) > 1 and "{language}" not in getattr(self, name):
                raise ValueError(
                    f"{name} has no {{language}} though several languages are named; write it in"
                )
        _one_name_each(self.languages)
        return self


class ParallelSource(SourceBase):
    """Parallel sentences, line n of each file translates line n of the others (NTREX, Tatoeba)."""

    format: Literal["parallel"]
    paths: dict[Language, DataPath] = Field(min_length=2)
    """Language to file."""

    @model_validator(mode="after")
    def _languages_differ(self) -> Self:
        _one_name_each(self.paths)
        return self


Source = Annotated[
    HbtJsonlSource
    | TevatronSource
    | TevatronV2Source
    | MiraclSource
    | FlagEmbeddingSource
    | BeirSource
    | ColumnsSource
    | SquadSource
    | AfriqaSource
    | MmarcoSource
    | ParallelSource,
    Field(discriminator="format"),
]


class CodeSwitchingConfig(Section):
    """Words of queries replaced by their translations (arXiv 2305.05295)."""

    lexicons: dict[Language, DataPath] = Field(min_length=1)
    """Language to its bilingual lexicon: lines of a word and a translation, apart by a tab or a blank, as
    MUSE publishes them. A word with several lines has several translations."""
    source_language: Language = "en"
    """Of the lexicons' words; queries in other languages stay as they are."""
    probability: float = Field(default=0.5, gt=0, le=1)
    """That a word which a lexicon has is replaced."""
    draw: Literal["word", "query"] = "word"
    """Draw a language for each word, among those whose lexicon has it, or one for a whole query."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Decides, with the text of a query, which words are replaced by what, in every epoch alike."""

    @model_validator(mode="after")
    def _languages_differ(self) -> Self:
        _one_name_each((self.source_language, *self.lexicons))
        return self


class DataConfig(Section):
    """Training data."""

    root: RunPath | None = None
    """Folder that relative paths of sources start from."""
    sources: tuple[Source, ...] = Field(min_length=1)
    """One entry a source; see below for each format."""
    max_bad_share: float = Field(default=0.0, ge=0, le=1)
    """Share of rows that may be unusable before the data is refused."""
    code_switching: CodeSwitchingConfig | None = None
    """Replace words of queries by translations; null: leave queries as they are."""
    num_hard_negatives: int = Field(default=0, ge=0)
    """Hard negatives a row brings, at most; drawn anew each epoch where it has more."""
    damaged_rows: Literal["end", "skip"] = "end"
    """What becomes of a row whose tokens in the store are no longer those that were written (their checksum
    says so when a batch has it). end: the run ends and names the row; skip: the next row of its batch takes
    its place."""
    store_dir: str | None = None
    """Folder of tokenized stores; default: `<output_dir>/stores`."""

    @model_validator(mode="after")
    def _weights_all_or_none(self) -> Self:
        weighted = [i for i, source in enumerate(self.sources) if source.weight is not None]
        if weighted and len(weighted) != len(self.sources):
            missing = next(i for i in range(len(self.sources)) if i not in weighted)
            raise ValueError(f"sources.{missing} has no weight but others have; weight all sources or none")
        return self
