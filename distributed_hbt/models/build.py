"""The encoder of a run: backbone, attention, adapters."""

import contextlib
from collections.abc import Iterator

import torch

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.models.architecture import random_backbone
from distributed_hbt.models.attention import set_attention
from distributed_hbt.models.backbone import check_fit, pretrained_backbone
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.lora import add_lora
from distributed_hbt.models.packed_attention import check_kernel, use_packed_attention


def build_encoder(model: ModelConfig, seed: int, vocab_size: int | None = None) -> Encoder:
    """Build the encoder on the CPU, in training mode.

    Args:
        model: what to build.
        seed: decides every random weight (those of `architecture` and of adapters), whatever the state of
            the global generators, which stay as they are.
        vocab_size: number of tokens of the tokenizer, `len(tokenizer)`.

    Raises:
        ConfigError: the configuration does not describe an encoder that can be built.
    """
    check_kernel(model)
    with seeded(seed):
        backbone = random_backbone(model, vocab_size) if model.base is None else pretrained_backbone(model)
        check_fit(backbone, model, vocab_size)
        set_attention(backbone, model.attention)
        if model.padding_free:
            use_packed_attention(backbone, model.attention_implementation)
        if model.lora is not None:
            add_lora(backbone, model.lora)
    encoder = Encoder(
        backbone, pooling=model.pooling, padding_side=model.padding_side, normalize=model.normalize
    )
    return encoder.train()


def check_buildable(model: ModelConfig, vocab_size: int) -> None:
    """Build `architecture` without weights, in no memory and little time; raises as build_encoder does."""
    with torch.device("meta"):
        build_encoder(model, seed=0, vocab_size=vocab_size)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it, torch's generators start from `seed`; afterwards they are as before."""
    # CUDA is left alone where it is not in use: asking for the state of its generators would start it.
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.manual_seed(seed)
        yield
