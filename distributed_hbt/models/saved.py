"""An encoder's folder: manifest, tokenizer, and its weights or its adapter."""

import copy
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distributed_hbt.checkpoint_marker import check_encoder
from distributed_hbt.errors import CheckpointError, ConfigError, HbtError, one_line
from distributed_hbt.models.attention import set_attention
from distributed_hbt.models.backbone import is_attention_error, read_backbone, without_pooler
from distributed_hbt.models.build import seeded
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.lora import (
    adapter_file_name,
    base_weights,
    inject,
    is_adapter_weight,
    lora_configuration,
    merge,
)
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.packed_attention import runs_flash
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.models.tokenizer import padded_tokenizer
from distributed_hbt.models.weights import check_given, check_names, read_weights, write_weights

_WEIGHTS = "model.safetensors"
_ADAPTER_WEIGHTS = "adapter_model.safetensors"
_BACKBONE = "backbone."
_REMEDY = "export the encoder again"


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder in evaluation mode, and what belongs to it."""

    encoder: Encoder
    texts: TextEncoder
    manifest: EncoderManifest


def save_encoder(
    folder: Path,
    encoder: Encoder,
    tokenizer: Any,
    manifest: EncoderManifest,
    state_dict: Mapping[str, Tensor],
) -> None:
    """Write an encoder that `load_encoder`, and transformers or peft, can read.

    Args:
        folder: is made where it is missing.
        encoder: gives names, shapes and configuration; its own weights are not read.
        tokenizer: saved beside the weights, with the manifest's padding side.
        manifest: written as `encoder.json`, last.
        state_dict: whole weights by the names of `encoder.state_dict()`: all of them, or with
            `manifest.adapter` at least the adapter's.

    Raises:
        CheckpointError: a weight is missing, empty or of another shape; an adapter without a base.
    """
    if manifest.adapter != (lora_configuration(encoder.backbone) is not None):
        what = f"the manifest says adapter: {manifest.adapter}, the encoder says otherwise"
        raise CheckpointError(str(folder), what, "make the manifest from the configuration of the encoder")
    if manifest.adapter and manifest.base is None:
        what = "an adapter belongs to a base, and the manifest names none"
        raise CheckpointError(str(folder), what, "give the manifest the folder that save_base wrote")
    wanted = encoder.state_dict(keep_vars=True)
    if manifest.adapter:
        wanted = {name: tensor for name, tensor in wanted.items() if is_adapter_weight(name)}
    check_given(state_dict, wanted, str(folder))
    weights = {name.removeprefix(_BACKBONE): state_dict[name] for name in wanted}
    folder.mkdir(parents=True, exist_ok=True)
    if manifest.adapter:
        _write_adapter(folder, encoder, manifest, weights)
    else:
        _write_model(folder, encoder, weights)
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.padding_side = manifest.padding_side
    tokenizer.save_pretrained(folder)
    manifest.write(folder)


def save_base(folder: Path, encoder: Encoder, state_dict: Mapping[str, Tensor] | None = None) -> None:
    """Write the weights below the adapters (as a Hugging Face model), whole or not at all.

    `state_dict` (names of `encoder.state_dict()`) is needed where the encoder's own weights are
    partitioned. An existing folder is replaced.

    Raises:
        CheckpointError: a weight is missing, empty or of another shape.
    """
    live = {name: t for name, t in encoder.state_dict(keep_vars=True).items() if not is_adapter_weight(name)}
    given = live if state_dict is None else state_dict
    check_given(given, live, str(folder))
    partial = folder.with_name(folder.name + ".partial")
    for leftover in (partial, folder):
        if leftover.exists():
            shutil.rmtree(leftover)
    partial.mkdir(parents=True)
    _write_model(partial, encoder, base_weights({name.removeprefix(_BACKBONE): given[name] for name in live}))
    partial.rename(folder)


def load_encoder(
    folder: Path,
    *,
    device: str | torch.device = "cpu",
    dtype: str | None = None,
    merge_lora: bool = False,
    attention_implementation: str | None = None,
) -> LoadedEncoder:
    """Read what `save_encoder` wrote; needs no network unless an adapter's base is on the hub.

    Args:
        folder: the encoder's folder.
        device: where the encoder goes.
        dtype: float32 or bfloat16; default: the manifest's.
        merge_lora: add an adapter to the weights below it (no effect on a whole model).
        attention_implementation: replaces the manifest's. Without it, an encoder that was trained with
            FlashAttention takes torch's attention where that is missing: the same to rounding.

    Raises:
        CheckpointError: files are missing or not what was written, weights missing, too many, or of another
            shape.
    """
    check_encoder(folder)
    manifest = EncoderManifest.read(folder)
    location = manifest.base_location(folder) if manifest.adapter else str(folder)
    try:
        with seeded(0):  # reading must not disturb the random state of the program around it
            backbone = _read_whole(
                location,
                revision=manifest.revision if manifest.adapter else None,
                dtype=dtype or manifest.dtype,
                implementations=_implementations(attention_implementation, manifest, torch.device(device)),
                exact=not manifest.adapter,
            )
            set_attention(backbone, manifest.attention)
            if manifest.adapter:
                _read_adapter(folder, backbone)
                if merge_lora:
                    merge(backbone)
        return _assembled(folder, backbone, manifest, device)
    except ConfigError as error:
        raise CheckpointError(str(folder), f"{error.where}: {error.what}", _REMEDY) from error


def load_texts(folder: Path) -> TextEncoder:
    """What turns texts into tokens for the encoder in `folder`, whose weights are not read.

    Raises CheckpointError where it is damaged.
    """
    manifest = EncoderManifest.read(folder)
    return TextEncoder(_read_tokenizer(folder), manifest)


def _assembled(
    folder: Path, backbone: Any, manifest: EncoderManifest, device: str | torch.device
) -> LoadedEncoder:
    encoder = Encoder(
        backbone, pooling=manifest.pooling, padding_side=manifest.padding_side, normalize=manifest.normalize
    )
    if encoder.dimension != manifest.embedding_dimension:
        what = f"embeddings have {encoder.dimension} dimensions, not {manifest.embedding_dimension}"
        raise CheckpointError(str(folder), what, _REMEDY)
    tokenizer = _read_tokenizer(folder)
    if len(tokenizer) > backbone.config.vocab_size:
        what = f"the tokenizer has {len(tokenizer)} tokens, the model {backbone.config.vocab_size}"
        raise CheckpointError(str(folder), what, _REMEDY)
    return LoadedEncoder(encoder.to(device).eval(), TextEncoder(tokenizer, manifest), manifest)


def _implementations(asked: str | None, manifest: EncoderManifest, device: torch.device) -> tuple[str, ...]:
    """The attention kernels that may be taken, the best first."""
    own = manifest.attention_implementation
    if asked is not None or own != "flash_attention_2" or runs_flash(device):
        return (asked or own,)
    return ("sdpa", "eager")  # eager: for the family that caps its attention scores, which sdpa does not


def _read_whole(location: str, *, exact: bool, implementations: Sequence[str], **settings: Any) -> Any:
    kernel, *others = implementations
    try:
        read = read_backbone(location, attention_implementation=kernel, **settings)
    except HbtError:
        raise
    except Exception as error:  # files, configuration, hub: each with errors of its own
        if others and is_attention_error(error):
            return _read_whole(location, exact=exact, implementations=others, **settings)
        what = f"no model can be read from it ({one_line(error)})"
        raise CheckpointError(location, what, _REMEDY) from error
    # A base may carry a head that is not used; a saved encoder is exactly the model.
    check_names(Path(location), read.missing, read.unexpected if exact else ())
    if read.mismatched:
        what = f"the weight {read.mismatched[0]} has another shape than the model's"
        raise CheckpointError(location, what, _REMEDY)
    return without_pooler(read.backbone, "config.json")


def _read_adapter(folder: Path, backbone: Any) -> None:
    import peft

    path = folder / _ADAPTER_WEIGHTS
    weights = read_weights(path)
    try:
        configuration = peft.LoraConfig.from_pretrained(str(folder))
        inject(backbone, configuration)
    except Exception as error:  # peft reads the file by hand and raises what comes of it
        what = f"holds no adapter of this model ({one_line(error)})"
        raise CheckpointError(str(folder / "adapter_config.json"), what, _REMEDY) from error
    live = {
        adapter_file_name(name): tensor
        for name, tensor in backbone.state_dict(keep_vars=True).items()
        if is_adapter_weight(name)
    }
    check_names(path, live.keys() - weights.keys(), weights.keys() - live.keys())
    for name, parameter in live.items():
        if weights[name].shape != parameter.shape:
            what = f"the weight {name} has shape {list(weights[name].shape)}, not {list(parameter.shape)}"
            raise CheckpointError(str(path), what, _REMEDY)
        parameter.data.copy_(weights[name])


def _write_adapter(
    folder: Path, encoder: Encoder, manifest: EncoderManifest, weights: Mapping[str, Tensor]
) -> None:
    configuration: Any = copy.deepcopy(lora_configuration(encoder.backbone))
    configuration.base_model_name_or_path = manifest.base
    configuration.revision = manifest.revision
    configuration.inference_mode = True
    configuration.target_modules = sorted(configuration.target_modules)  # a set has another order every time
    configuration.save_pretrained(str(folder))
    named = {adapter_file_name(name): tensor for name, tensor in weights.items()}
    write_weights(folder / _ADAPTER_WEIGHTS, named)


def _write_model(folder: Path, encoder: Encoder, weights: Mapping[str, Tensor]) -> None:
    configuration = copy.deepcopy(encoder.backbone.config)
    configuration.architectures = [type(encoder.backbone).__name__]
    configuration.save_pretrained(folder)
    write_weights(folder / _WEIGHTS, weights)


def _read_tokenizer(folder: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    # Not AutoTokenizer: it may prefer the class that goes with the model's family, which rebuilds the
    # normaliser and pre-tokenizer of that family instead of taking those of tokenizer.json.
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder))
    except Exception as error:  # tokenizers raises a bare Exception for a damaged file
        what = f"no tokenizer can be read from it ({one_line(error)})"
        raise CheckpointError(str(folder), what, _REMEDY) from error
    return padded_tokenizer(tokenizer, str(folder))
