"""What a chunk's forward and backward hold, by running the encoder's own code on tensors without memory.

torch's fake tensors go through every operation with shape and type, but no values; whatever one of them would
own is counted while it is alive. Two short stacks of layers tell what a layer more takes, and two sizes of
chunk what a token more does.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from distributed_hbt.config.model import LoraConfig, ModelConfig
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.packing import pack
from distributed_hbt.planner.architecture import Architecture

_STACKS = (2, 3)


@dataclass(frozen=True)
class Line:
    """`fixed` bytes, and `per_token` for every token of a chunk."""

    fixed: float
    per_token: float

    def at(self, tokens: float) -> float:
        return self.fixed + self.per_token * tokens


@dataclass(frozen=True)
class Activations:
    """Bytes beside weights and their gradients. `kept` from a forward until its backward; `forward` and
    `backward` at most while one runs, `kept` included; `encoded` at most in a forward without gradient."""

    kept: Line
    forward: Line
    backward: Line
    encoded: Line

    def at_most(self, tokens: float) -> float:
        """Of one chunk, forward and backward."""
        return max(line.at(tokens) for line in (self.kept, self.forward, self.backward))


@dataclass(frozen=True)
class _Sample:
    """Of one chunk: bytes, in the order of the fields of Activations."""

    values: tuple[float, float, float, float]

    def combined(self, other: "_Sample", function: Callable[[float, float], float]) -> "_Sample":
        a, b, c, d = (function(x, y) for x, y in zip(self.values, other.values, strict=True))
        return _Sample((a, b, c, d))


def measure_activations(
    architecture: Architecture, *, checkpointing: bool, whole_layers: bool, length: int, tokens: int
) -> Activations:
    """Of chunks of texts of `length` tokens, of at most `tokens` in all. `whole_layers`: the last layer is not
    shortened (ZeRO-3)."""
    most = max(tokens // length, 2)
    less = most // 2
    few, many = (_chunk(architecture, texts, length, checkpointing, whole_layers) for texts in (less, most))
    slopes = many.combined(few, lambda b, a: (b - a) / ((most - less) * length))
    fixed = few.combined(slopes, lambda a, slope: a - slope * less * length)
    lines = [Line(max(f, 0.0), s) for f, s in zip(fixed.values, slopes.values, strict=True)]
    return Activations(*lines)


def _chunk(arch: Architecture, texts: int, length: int, checkpointing: bool, whole: bool) -> _Sample:
    """A chunk in the whole stack, from short ones."""

    def stack(layers: int, adapted: int | None) -> _Sample:
        return _run(_short(arch.model, layers, adapted), texts, length, checkpointing, whole)

    layers, span = int(arch.fields["num_hidden_layers"]), arch.model.lora and arch.model.lora.layers
    short, longer = _STACKS
    if layers <= longer and not span:
        return stack(layers, None)
    base = stack(short, None)
    a_layer = stack(longer, None).combined(base, lambda b, a: b - a)
    if not span:
        return base.combined(a_layer, lambda a, each: a + (layers - short) * each)
    # Layers below the first adapter keep nothing; those above the last have none, but pass gradients on.
    above = stack(longer, 1).combined(stack(short, 1), lambda b, a: b - a)
    adapted = max(span[1] - span[0] - short, 0)
    with_adapters = base.combined(a_layer, lambda a, each: a + adapted * each)
    return with_adapters.combined(above, lambda a, each: a + (layers - span[1]) * each)


def _short(model: ModelConfig, layers: int, adapted: int | None) -> ModelConfig:
    """The model with so few layers, of which the first `adapted` have adapters."""
    assert model.architecture is not None
    fields = {**model.architecture, "num_hidden_layers": layers}
    if isinstance(fields.get("layer_types"), list):
        fields["layer_types"] = fields["layer_types"][:layers]
    lora: LoraConfig | None = model.lora
    if lora is not None:
        lora = lora.model_copy(update={"layers": None if adapted is None else (0, adapted)})
    return model.model_copy(update={"architecture": fields, "lora": lora})


def _run(model: ModelConfig, texts: int, length: int, checkpointing: bool, whole: bool) -> _Sample:
    with torch.device("meta"):
        encoder = build_encoder(model, seed=0)
    if model.dtype == "bfloat16":
        encoder = encoder.bfloat16()  # as DeepSpeed does, adapters included
    if whole:
        for parameter in encoder.parameters():
            parameter.ds_id = 0  # type: ignore[attr-defined]  # as ZeRO-3 marks it
    if checkpointing:
        encoder.enable_activation_checkpointing()
    with FakeTensorMode(allow_non_fake_inputs=True):
        _make_fake(encoder, whole)
        return _forward_and_backward(encoder, *_texts(model, texts, length))


def _texts(model: ModelConfig, texts: int, length: int) -> tuple[Tensor, Any]:
    if model.padding_free:
        return pack([[1] * length for _ in range(texts)])
    ids_BL = torch.ones(texts, length, dtype=torch.int64)
    return ids_BL, torch.ones_like(ids_BL)


def _make_fake(encoder: Encoder, whole: bool) -> None:
    """Weights without memory, on what counts as a CPU: its kernels keep what FlashAttention keeps."""
    for module in encoder.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                values = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
                made = nn.Parameter(values, requires_grad=parameter.requires_grad)
                if whole:
                    made.ds_id = 0  # type: ignore[attr-defined]
                module._parameters[name] = made
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu")


def _forward_and_backward(encoder: Encoder, ids: Tensor, layout: Any) -> _Sample:
    live = _LiveBytes()
    for parameter in encoder.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)  # counted elsewhere
            live.ignore(parameter.grad)
        live.ignore(parameter)
    with live:
        with torch.no_grad():
            encoder(ids, layout)
        encoded = live.most
        live.begin_anew()
        embedding_BD = encoder(ids, layout)
        kept, forward = live.now, live.most
        live.begin_anew()
        embedding_BD.backward(torch.empty_like(embedding_BD))
    return _Sample((float(kept), float(forward), float(live.most), float(encoded)))


class _LiveBytes(TorchDispatchMode):
    """Bytes of all storages that operations inside it have made and that are still referred to."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.most = 0
        self._seen: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def begin_anew(self) -> None:
        """From here on `most` is that of what follows."""
        self.most = self.now

    def ignore(self, tensor: Tensor) -> None:
        self._seen[tensor.untyped_storage()] = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        if storage in self._seen:
            return
        size = storage.nbytes()
        self._seen[storage] = size
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.now -= size
