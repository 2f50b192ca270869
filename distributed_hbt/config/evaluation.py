"""What is measured, on which benchmarks."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from distributed_hbt.config.base import DataPath, Section

XQUAD_R_LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
MLQA_R_LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")


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
    languages: tuple[str, ...] = Field(default=XQUAD_R_LANGUAGES, min_length=1)

    @property
    def label(self) -> str:
        return self.name


class MlqaRBenchmark(LareqaBenchmarkBase):
    """MLQA-R, 7 languages."""

    name: Literal["mlqa_r"]
    languages: tuple[str, ...] = Field(default=MLQA_R_LANGUAGES, min_length=1)

    @property
    def label(self) -> str:
        return self.name


class LareqaBenchmark(LareqaBenchmarkBase):
    """Any other data in LAReQA's files."""

    name: Literal["lareqa"]
    label: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the benchmark in results."""
    languages: tuple[str, ...] = Field(min_length=1)


Benchmark = Annotated[XquadRBenchmark | MlqaRBenchmark | LareqaBenchmark, Field(discriminator="name")]


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
    """Padded tokens that are encoded at once."""

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        labels = [benchmark.label for benchmark in self.benchmarks]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"benchmarks has {label} twice; results would share a folder, remove one")
        return self
