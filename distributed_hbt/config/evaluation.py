"""What is measured, on which benchmarks."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from distributed_hbt.config.base import DataPath, Language, Section
from distributed_hbt.config.data import Source

MIRACL_LANGUAGES = (
    *("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi"),
    *("id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh"),
)
MR_TYDI_LANGUAGES = ("ar", "bn", "en", "fi", "id", "ja", "ko", "ru", "sw", "te", "th")
XQUAD_R_LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
MLQA_R_LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")

_FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class LareqaBenchmarkBase(Section):
    """Answer-sentence retrieval in LAReQA's files, `<root>/<language>.json[.gz]` (arXiv 2004.05484)."""

    root: DataPath
    """Folder of the language files."""
    article_range: tuple[int, int] | None = None
    """Half-open slice of article positions, for questions and candidates; null for all."""
    candidate: Literal["sentence", "sentence_with_context"] = "sentence"
    """What is retrieved: the sentence, or the sentence followed by its paragraph."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.article_range is not None and not 0 <= self.article_range[0] < self.article_range[1]:
            raise ValueError("article_range is no range; give [first, stop] with first < stop")
        return self


class XquadRBenchmark(LareqaBenchmarkBase):
    """XQuAD-R, 11 languages."""

    name: Literal["xquad_r"]
    languages: tuple[Language, ...] = Field(default=XQUAD_R_LANGUAGES, min_length=1)

    @property
    def label(self) -> str:
        return self.name


class MlqaRBenchmark(LareqaBenchmarkBase):
    """MLQA-R, 7 languages."""

    name: Literal["mlqa_r"]
    languages: tuple[Language, ...] = Field(default=MLQA_R_LANGUAGES, min_length=1)

    @property
    def label(self) -> str:
        return self.name


class LareqaBenchmark(LareqaBenchmarkBase):
    """Any other data in LAReQA's files."""

    name: Literal["lareqa"]
    label: str = Field(pattern=_FILE_NAME)
    """Name of the benchmark in results."""
    languages: tuple[Language, ...] = Field(min_length=1)


class JudgedBenchmarkBase(Section):
    """Queries with judgments, against a corpus of passages on disk."""

    incomplete: bool = False
    """Accept judgments on documents that the corpus lacks (they count as not retrieved), judgments on
    queries that are not there, and topics without judgments (left out), with a warning that counts them."""
    blank_passages: Literal["refuse", "keep"] = "refuse"
    """A passage with neither a title nor a text is refused, or kept and encoded as it is."""


class TopicsBenchmarkBase(JudgedBenchmarkBase):
    """Topics and qrels of each language, and its corpus, in the raw files as published."""

    root: DataPath | None = None
    """Folder of the published files, or a dataset on the hub that holds topics and qrels; null: the
    published one there."""
    corpus: DataPath | None = None
    """Place of the passages if they are not below `root`: a folder, file or glob that holds {language}."""
    split: str = Field(pattern=_FILE_NAME)
    """As in the names of the files."""
    languages: tuple[Language, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _languages_are_published(self) -> Self:
        published = type(self).model_fields["languages"].default
        for language in self.languages:
            if language not in published:
                raise ValueError(
                    f"languages has {language}, in which nothing is published; choose from "
                    f"{', '.join(published)}"
                )
            if self.languages.count(language) > 1:
                raise ValueError(f"languages has {language} twice; name it once")
        if self.corpus is not None and len(self.languages) > 1 and "{language}" not in self.corpus:
            raise ValueError("corpus has no {language} though several languages are named; write it in")
        return self


class MiraclBenchmark(TopicsBenchmarkBase):
    """MIRACL, 18 languages (arXiv 2210.09984): topics/, qrels/ and corpus/<language>/ below `root`."""

    name: Literal["miracl"]
    split: str = Field(default="dev", pattern=_FILE_NAME)
    languages: tuple[Language, ...] = Field(default=MIRACL_LANGUAGES, min_length=1)

    @property
    def label(self) -> str:
        return self.name if self.split == "dev" else f"{self.name}-{self.split}"


class MrTydiBenchmark(TopicsBenchmarkBase):
    """Mr. TyDi v1.1, 11 languages (arXiv 2108.08787), in the same form."""

    name: Literal["mr_tydi"]
    split: str = Field(default="test", pattern=_FILE_NAME)
    languages: tuple[Language, ...] = Field(default=MR_TYDI_LANGUAGES, min_length=1)

    @property
    def label(self) -> str:
        return self.name if self.split == "test" else f"{self.name}-{self.split}"


class BeirBenchmark(JudgedBenchmarkBase):
    """Any folder in BEIR's form: corpus.jsonl, queries.jsonl, qrels/<split>.tsv, each may be .gz."""

    name: Literal["beir"]
    label: str = Field(pattern=_FILE_NAME)
    """Name of the benchmark in results."""
    path: DataPath
    """The folder, or a dataset on the hub."""
    split: str = Field(default="test", pattern=_FILE_NAME)
    """Whose judgments are taken; the other queries are left out."""
    qrels: DataPath | None = None
    """Judgments that lie elsewhere than in `qrels/<split>.tsv` (the hub keeps them apart)."""


class RowsBenchmark(Section):
    """Training data as a benchmark: its queries against all of its passages, a task a query language."""

    name: Literal["rows"]
    label: str = Field(pattern=_FILE_NAME)
    """Name of the benchmark in results."""
    sources: tuple[Source, ...] = Field(min_length=1)
    """As in `data.sources`."""
    max_bad_share: float = Field(default=0.0, ge=0, le=1)
    """Share of rows that may be unusable before the data is refused."""

    @property
    def incomplete(self) -> bool:
        """Queries, judgments and passages are from the same rows: nothing can be missing."""
        return False


CorpusBenchmark = MiraclBenchmark | MrTydiBenchmark | BeirBenchmark
"""What `evaluation.benchmarks.judged` loads."""

Benchmark = Annotated[
    XquadRBenchmark | MlqaRBenchmark | LareqaBenchmark | CorpusBenchmark | RowsBenchmark,
    Field(discriminator="name"),
]


class StoreConfig(Section):
    """Embeddings kept on disk, for later evaluations and mining with the same encoder and corpus."""

    folder: str | None = None
    """Where stores are kept; null: `<output_dir>/stores/embeddings`."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float16"
    """Type of the embeddings on disk. Search sees the rounded values, the first time too. Values that it can
    not hold are refused."""
    codes: Literal["int8", "prefix"] | None = None
    """Search these smaller codes first, then score the best candidates anew in float32 from the embeddings:
    `int8`, or the first `prefix` dimensions (Matryoshka). The loss against exact search is measured and
    reported. They are for embeddings that are slow to read: of such as are in memory, exact search on a CPU
    takes less time. null: exact search."""
    prefix: int | None = Field(default=None, ge=1)
    """Dimensions of `codes: prefix`."""
    candidates: int = Field(default=4, ge=1)
    """Candidates a query and shard that are scored anew, as a multiple of the depth."""
    measured_queries: int = Field(default=100, ge=1)
    """Queries that are searched exactly too, to measure the loss of `codes`."""

    @model_validator(mode="after")
    def _prefix_goes_with_prefix(self) -> Self:
        if (self.codes == "prefix") != (self.prefix is not None):
            raise ValueError(
                "codes prefix and the number of dimensions, prefix, go together; give both or none"
            )
        return self


class EvaluationConfig(Section):
    """Which checkpoints are evaluated, on what."""

    every: int | None = Field(default=None, ge=1)
    """Evaluate the checkpoints at multiples of this step; the last one always is. null: only the last."""
    depth: int = Field(default=1000, ge=1)
    """Documents a query keeps in the run file, beside every relevant one."""
    benchmarks: tuple[Benchmark, ...] = ()
    """What to measure on; empty for no evaluation."""
    dimension: int | None = Field(default=None, ge=1)
    """Evaluate with this prefix of the embedding (Matryoshka); null for all of it."""
    max_tokens_per_batch: int = Field(default=16384, ge=1)
    """Padded tokens that are encoded at once; on a CPU fewer, as many as suit its caches."""
    shard_rows: int = Field(default=20_000, ge=1)
    """Passages of a corpus shard: what is handed to a worker, held by it, and done again after a fault."""
    search_memory_mb: int = Field(default=256, ge=1)
    """Memory of a search beside queries and passages: bounds the scores that are held at once."""
    max_passage_characters: int = Field(default=500_000, ge=1)
    """A longer passage is refused, since it is rather a broken file than a passage."""
    max_attempts: int = Field(default=3, ge=1)
    """How often a shard is tried before its evaluation fails."""
    store: StoreConfig | None = None
    """Keep the embeddings of corpora; null keeps nothing."""

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        labels = [benchmark.label for benchmark in self.benchmarks]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"benchmarks has {label} twice; results would share a folder, remove one")
        return self
