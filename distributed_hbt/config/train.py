"""The optimisation: steps, batch, schedule, loss, DeepSpeed."""

from typing import Literal, Self

from pydantic import Field, model_validator

from distributed_hbt.config.base import RunPath, Section
from distributed_hbt.config.checkpoints import CheckpointsConfig
from distributed_hbt.config.model import ModelConfig, TokenizerConfig


class DistillationConfig(Section):
    """Knowledge distillation from the scores that a reranker gave to the passages of a training row."""

    weight: float = Field(default=1.0, gt=0)
    """Of the divergence, beside the contrastive loss, whose weight is 1."""
    teacher_temperature: float = Field(default=1.0, gt=0)
    """The reranker's scores are divided by it."""
    temperature: float | None = Field(default=None, gt=0)
    """The encoder's scores are divided by it; null: as `train.temperature`."""


class TeacherConfig(Section):
    """A frozen encoder of one language teaches what parallel text says in the others."""

    encoder: RunPath | None = None
    """Folder of an encoder, as checkpoints have one in `encoder/`."""
    model: ModelConfig | None = None
    """Instead of `encoder`: a pretrained model, its pooling and its prompts, as in `model`."""
    language: str = "en"
    """The teacher's: it encodes the query and the passage that a row's group has in this language. A row
    whose group has none is not taught."""
    form: Literal["embedding", "optimal_transport"] = "embedding"
    """embedding: the squared distance of the encoder's embedding from the teacher's (arXiv 2004.09813);
    optimal_transport: the cost of moving the encoder's token states onto the teacher's, which is their
    cosine distance under the entropic plan (arXiv 2301.12566)."""
    weight: float = Field(default=1.0, gt=0)
    """Of what the teacher says, beside the contrastive loss, whose weight is 1."""
    contrastive: bool = True
    """Whether there is a contrastive loss at all."""
    regularisation: float = Field(default=0.1, gt=0)
    """Entropy's weight in the plan of `optimal_transport`; smaller: closer to one token for one token."""
    iterations: int = Field(default=50, ge=1)
    """Sinkhorn iterations of `optimal_transport`."""

    @model_validator(mode="after")
    def _one_teacher(self) -> Self:
        if (self.encoder is None) == (self.model is None):
            raise ValueError("exactly one of encoder and model is needed; set one and leave out the other")
        if self.model is not None:
            for name in ("architecture", "lora"):
                if getattr(self.model, name) is not None:
                    raise ValueError(f"model.{name} makes no teacher; name a pretrained one in model.base")
            if isinstance(self.model.tokenizer, TokenizerConfig):
                raise ValueError("model.tokenizer is the teacher's own; leave it out")
        return self


class TrainConfig(Section):
    """One optimizer step is one global batch, whatever the number of ranks."""

    max_steps: int = Field(default=1000, ge=1)
    """Optimizer steps."""
    global_batch_size: int = Field(default=1024, ge=2)
    """Rows (queries) of a global batch; divided evenly over the ranks."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """Its highest value, after the warm-up."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps of linear warm-up; a run that ends before it never reaches the learning rate."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Learning rate after the warm-up; linear and cosine end at 0."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of AdamW, on matrices; biases and norms are not decayed."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's."""
    epsilon: float = Field(default=1e-8, gt=0)
    """AdamW's."""
    max_grad_norm: float | None = Field(default=1.0, gt=0)
    """Clip the global gradient norm; null for no clipping."""
    temperature: float = Field(default=0.02, gt=0)
    """Scores are divided by it."""
    loss: Literal["info_nce", "printed"] = "info_nce"
    """info_nce: every other passage of the global batch is a negative; printed: the paper's equation,
    in which only hard negatives are (temperature as given; the paper prints none, so 1.0)."""
    symmetric: bool = False
    """Add the passage-to-query direction and halve the sum."""
    distillation: DistillationConfig | None = None
    """Learn from a reranker's scores too; null: only from what is positive and what is not."""
    teacher: TeacherConfig | None = None
    """Learn from a frozen encoder too, through parallel text; null: from the data alone."""
    gradient: Literal["plain", "cached"] = "plain"
    """plain: one backward through the whole local batch; cached: GradCache, chunk by chunk."""
    reduce_gradients: Literal["auto", "once", "by_chunk"] = "auto"
    """With cached gradients under ZeRO-1 to 3. once: after the last chunk, from a whole gradient that each
    rank keeps until then; by_chunk: ZeRO-2 and 3 reduce every chunk's as it comes, and keep only their part.
    auto: once with LoRA, by_chunk without."""
    max_tokens_per_chunk: int = Field(default=16384, ge=1)
    """Tokens, padding included, that go through the encoder at once; a longer single text goes alone."""
    loss_block_size: int = Field(default=4096, ge=1)
    """Columns of the score matrix that exist at once."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward: less memory, a third more work."""
    compile: bool = False
    """Compile the backbone's layers (torch.compile); the first steps then take minutes. Not with ZeRO-3."""
    liger_kernels: bool = False
    """Fused norms, rotary positions and feed-forward parts of the package liger-kernel, on NVIDIA GPUs."""
    profile_steps: tuple[int, int] | None = None
    """Half-open range of steps, counted from 0, whose trace and times go into `profile/` of the run."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Steps between checkpoints; the last step always has one."""
    max_skipped_steps: int = Field(default=10, ge=0)
    """A step whose loss or gradient is not finite changes nothing and is skipped; the run ends at the first
    one beyond this number, counted over the whole run. 0: at the first."""
    compare_ranks_every: int | None = Field(default=100, ge=1)
    """Steps between comparisons of the weights that all ranks hold, which also precede every checkpoint; the
    run ends where a rank's differ. null: never."""
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    """How they are written, and which are kept."""
    deepspeed: RunPath | None = None
    """ZeRO configuration, for example ds_configs/zero2.json; null: the one that the launcher's accelerate
    configuration names, ds_configs/zero2.json where there is none."""

    @model_validator(mode="after")
    def _profiled_steps_are_a_range(self) -> Self:
        steps = self.profile_steps
        if steps is not None and not 0 <= steps[0] < steps[1]:
            raise ValueError(f"profile_steps {list(steps)} is no range; give [first, stop] with first < stop")
        return self
