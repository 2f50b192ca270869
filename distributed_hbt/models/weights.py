"""Weights in safetensors files, checked on the way in and out."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from distributed_hbt.errors import CheckpointError

_REMEDY = "gather the partitioned weights before saving them"


def check_given(weights: Mapping[str, Tensor], parameters: Mapping[str, Tensor], where: str) -> None:
    """Whether `weights` has every one of `parameters`, whole.

    Raises:
        CheckpointError: a weight is missing, empty (an ungathered ZeRO-3 partition), or of another shape.
    """
    for name, parameter in parameters.items():
        if name not in weights:
            raise CheckpointError(where, f"the weight {name} was not handed over", _REMEDY)
        shape = tuple(getattr(parameter, "ds_shape", parameter.shape))  # ds_shape: ZeRO-3's whole shape
        given = tuple(weights[name].shape)
        if weights[name].numel() == 0:
            raise CheckpointError(where, f"the weight {name} is empty", _REMEDY)
        if given != shape:
            what = f"the weight {name} has shape {list(given)}, not {list(shape)}"
            raise CheckpointError(where, what, _REMEDY)


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors as they are, each in full, also those that share their memory (tied weights)."""
    from safetensors.torch import save_file

    written: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, given in weights.items():
        tensor = given.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        whole = storage.nbytes() == tensor.numel() * tensor.element_size()
        # safetensors refuses shared memory and views of something larger.
        written[name] = tensor if whole and storage.data_ptr() not in seen else tensor.clone()
        seen.add(storage.data_ptr())
    save_file(written, path, metadata={"format": "pt"})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Raises CheckpointError where the file is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(str(path), "no such file", "export the encoder again") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(str(path), f"is damaged ({error})", "export the encoder again") from error


def check_names(path: Path, missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """Raises CheckpointError where a weight is missing or not the model's."""
    for names, verb in ((sorted(missing), "lacks"), (sorted(unexpected), "has, beyond the model's,")):
        if names:
            what = f"{verb} {len(names)} weights, as {names[0]}"
            raise CheckpointError(str(path), what, "export the encoder again")
