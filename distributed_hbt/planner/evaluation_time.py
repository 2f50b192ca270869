"""How long MIRACL takes with the run's encoder, on the GPUs of the cluster."""

from dataclasses import dataclass

from distributed_hbt.planner.setting import Setting

CORPORA = {
    "ar": (2.061, 2896), "bn": (0.297, 411), "de": (15.866, 305), "en": (32.893, 799),
    "es": (10.373, 648), "fa": (2.207, 632), "fi": (1.884, 1271), "fr": (14.637, 343),
    "hi": (0.506, 350), "id": (1.446, 960), "ja": (6.953, 860), "ko": (1.487, 213),
    "ru": (9.544, 1252), "sw": (0.132, 482), "te": (0.518, 828), "th": (0.542, 733),
    "yo": (0.049, 119), "zh": (4.934, 393),
}  # fmt: skip
"""Millions of passages, and dev queries, of each language: arXiv 2210.09984, table 2."""

TOKENS_A_PASSAGE = 120


@dataclass(frozen=True)
class EvaluationTime:
    """Of all 18 languages; `passages_per_second` is a GPU's."""

    passages: float
    passages_per_second: float
    encode_gpu_hours: float
    search_gpu_hours: float
    gpus: int

    @property
    def hours(self) -> float:
        """On all GPUs together, evenly dealt."""
        return (self.encode_gpu_hours + self.search_gpu_hours) / self.gpus


def evaluation_time_of(setting: Setting) -> EvaluationTime:
    """2 FLOPs a parameter and token, and attention; every query against its language's corpus, in float32."""
    parameters, assumed = setting.parameters, setting.cluster.assumptions
    passages = sum(millions for millions, _ in CORPORA.values()) * 1e6
    length = min(TOKENS_A_PASSAGE, setting.config.model.max_passage_length)
    causal = 0.5 if setting.config.model.attention == "causal" else 1.0
    attention = 4 * causal * parameters.layers * parameters.attention_width * length
    each = (2 * parameters.matrices + attention) * length
    scored = 2 * parameters.dimension * sum(m * 1e6 * queries for m, queries in CORPORA.values())
    rate = assumed.utilisation * setting.peak_flops
    return EvaluationTime(
        passages=passages,
        passages_per_second=rate / each,
        encode_gpu_hours=passages * each / rate / 3600,
        search_gpu_hours=scored
        / (assumed.utilisation * 1e12 * setting.cluster.kind.float32_teraflops)
        / 3600,
        gpus=setting.cluster.gpus,
    )
