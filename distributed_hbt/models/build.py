"""The encoder of a run: backbone, attention, adapters."""

import contextlib
from collections.abc import Iterator

import torch

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.models.architecture import random_backbone
from distributed_hbt.models.attention import set_attention
from distributed_hbt.models.backbone import check_fit, pretrained_backbone
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.lora import add_lora
from distributed_hbt.models.tokenizer import first_line


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
    with seeded(seed):
        backbone = random_backbone(model, vocab_size) if model.base is None else pretrained_backbone(model)
        check_fit(backbone, model, vocab_size)
        set_attention(backbone, model.attention)
        if model.lora is not None:
            add_lora(backbone, model.lora)
    encoder = Encoder(
        backbone, pooling=model.pooling, padding_side=model.padding_side, normalize=model.normalize
    )
    return encoder.train()


def check_buildable(model: ModelConfig, vocab_size: int) -> None:
    """Build `architecture` without weights and send a text through it, in no memory and little time.

    Raises ConfigError where no encoder can be made of it, or no text goes through.
    """
    with torch.device("meta"):
        encoder = build_encoder(model, seed=0, vocab_size=vocab_size)
        try:
            encoder(torch.zeros(1, 2, dtype=torch.int64), torch.ones(1, 2, dtype=torch.int64))
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            what = f"no text goes through such a model ({first_line(error)})"
            raise ConfigError("model.architecture", what, "correct its values") from error


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
