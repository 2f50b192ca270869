"""How batches are composed (arXiv 2408.10536, section 3)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from distributed_hbt.config.base import Section

Strategy = Literal["hybrid", "x_x_mono", "x_x", "x_y", "en_en"]


class SamplingConfig(Section):
    """The sampling strategy and the language distribution."""

    strategy: Strategy = "hybrid"
    """hybrid: x_x_mono with probability alpha, else x_y; x_x_mono: one language a batch; x_x: query and
    passage of a row share a language, batches mix languages; x_y: they differ; en_en: English only."""
    alpha: float = Field(default=0.5, ge=0, le=1)
    """Probability of a monolingual batch; used by `hybrid` alone."""
    language_distribution: Literal["uniform", "proportional"] | float = "uniform"
    """uniform, proportional to size, or a temperature T: proportional to size ** (1 / T)."""
    cross_batches: Literal["mixed", "single_pair"] = "mixed"
    """Cross-lingual batches mix language pairs (as in the paper), or hold a single ordered pair."""
    languages: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Restrict training to these languages; null for all that the data has."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        temperature = self.language_distribution
        if isinstance(temperature, float) and temperature < 1:
            raise ValueError(f"language_distribution: temperature {temperature} is below 1; use 1.0 or more")
        if self.languages is not None:
            self._languages_fit(self.languages)
        return self

    def _languages_fit(self, languages: tuple[str, ...]) -> None:
        if len(set(languages)) != len(languages):
            raise ValueError("languages repeats a language; name each once")
        if self.draws_cross and len(languages) < 2:
            raise ValueError(
                f"strategy {self.strategy} needs two languages, languages names one; add another"
            )
        if self.strategy == "en_en" and "en" not in languages:
            raise ValueError("strategy en_en needs English, languages leaves it out; add en")

    @property
    def draws_cross(self) -> bool:
        """Whether cross-lingual batches can occur."""
        return self.strategy == "x_y" or (self.strategy == "hybrid" and self.alpha < 1)

    @property
    def draws_mono(self) -> bool:
        """Whether batches of a single language can occur."""
        return self.strategy in ("x_x_mono", "en_en") or (self.strategy == "hybrid" and self.alpha > 0)
