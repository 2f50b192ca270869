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

_TEXTS = (16, 32)
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
    `backward` at most while one runs, `kept` included."""

    kept: Line
    forward: Line
    backward: Line

    def at_most(self, tokens: float) -> float:
        """Of one chunk, forward and backward."""
        return max(line.at(tokens) for line in (self.kept, self.forward, self.backward))


@dataclass(frozen=True)
class _Sample:
    """Of one chunk: bytes, in the order of the fields of Activations."""

    values: tuple[float, float, float]

    def combined(self, other: "_Sample", function: Callable[[float, float], float]) -> "_Sample":
        a, b, c = (function(x, y) for x, y in zip(self.values, other.values, strict=True))
        return _Sample((a, b, c))


def measure_activations(
    architecture: Architecture, *, checkpointing: bool, whole_layers: bool, length: int
) -> Activations:
    """Of chunks of texts of `length` tokens. `whole_layers`: the last layer is not shortened (ZeRO-3)."""

    def stack(layers: int, adapted: int | None) -> tuple[_Sample, _Sample]:
        short = _short(architecture.model, layers, adapted)
        return _run(short, length, checkpointing=checkpointing, whole=whole_layers)

    few, many = _in_whole_stack(architecture, stack)
    less, more = (texts * length for texts in _TEXTS)
    slopes = many.combined(few, lambda b, a: (b - a) / (more - less))
    fixed = few.combined(slopes, lambda a, slope: a - slope * less)
    return Activations(*(Line(max(f, 0.0), s) for f, s in zip(fixed.values, slopes.values, strict=True)))


def _in_whole_stack(
    architecture: Architecture, stack: Callable[[int, int | None], tuple[_Sample, _Sample]]
) -> tuple[_Sample, _Sample]:
    """Samples of the model, from those of short stacks."""
    layers = int(architecture.fields["num_hidden_layers"])
    lora, (short, longer) = architecture.model.lora, _STACKS
    span = lora.layers if lora is not None else None
    if layers <= longer and span is None:
        return stack(layers, None)
    base, a_layer = _with_growth(stack, None)
    if span is None:
        return _grown(base, a_layer, layers - short)
    # Layers below the first adapter keep nothing; those above the last have none, but pass gradients on.
    _, above = _with_growth(stack, 1)
    return _grown(_grown(base, a_layer, span[1] - span[0] - short), above, layers - span[1])


_Samples = tuple[_Sample, _Sample]


def _with_growth(
    stack: Callable[[int, int | None], _Samples], adapted: int | None
) -> tuple[_Samples, _Samples]:
    """Of the shorter stack, and what a layer more adds to it."""
    base, longer = (stack(layers, adapted) for layers in _STACKS)
    few, many = (b.combined(a, lambda y, x: y - x) for a, b in zip(base, longer, strict=True))
    return base, (few, many)


def _grown(base: _Samples, a_layer: _Samples, times: int) -> _Samples:
    few, many = (a.combined(each, lambda x, y: x + times * y) for a, each in zip(base, a_layer, strict=True))
    return few, many


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


def _run(model: ModelConfig, length: int, *, checkpointing: bool, whole: bool) -> _Samples:
    """Of two chunks, of _TEXTS texts each."""
    with torch.device("meta"):
        encoder = build_encoder(model, seed=0)
    if model.dtype == "bfloat16":
        encoder = encoder.bfloat16()  # as DeepSpeed does, adapters included
    if checkpointing:
        if whole:
            _mark_as_partitioned(encoder)
        encoder.enable_activation_checkpointing()
    with FakeTensorMode(allow_non_fake_inputs=True):
        _make_fake(encoder)
        if whole:
            _mark_as_partitioned(encoder)
        few, many = (_forward_and_backward(encoder, *_texts(model, n, length)) for n in _TEXTS)
    return few, many


def _mark_as_partitioned(encoder: Encoder) -> None:
    """As ZeRO-3 does; then the last layer is not shortened."""
    for parameter in encoder.parameters():
        parameter.ds_id = 0  # type: ignore[attr-defined]


def _texts(model: ModelConfig, texts: int, length: int) -> tuple[Tensor, Any]:
    if model.padding_free:
        return pack([[1] * length for _ in range(texts)])
    ids_BL = torch.ones(texts, length, dtype=torch.int64)
    return ids_BL, torch.ones_like(ids_BL)


def _make_fake(encoder: Encoder) -> None:
    """Weights without memory, on what counts as a CPU: its kernels keep what FlashAttention keeps."""
    for module in encoder.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                values = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
                module._parameters[name] = nn.Parameter(values, requires_grad=parameter.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu")


def _forward_and_backward(encoder: Encoder, ids: Tensor, layout: Any) -> _Sample:
    tables = [m.weight.shape for m in encoder.modules() if isinstance(m, nn.Embedding)]
    live = _LiveBytes(frozenset(tables))
    for parameter in encoder.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)  # counted elsewhere
            live.ignore(parameter.grad)
        live.ignore(parameter)
    with live:
        embedding_BD = encoder(ids, layout)
        kept, forward = live.now, live.most
        live.begin_anew()
        embedding_BD.backward(torch.empty_like(embedding_BD))
    return _Sample((float(kept), float(forward), float(live.most)))


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of all storages that operations inside it have made and that are still referred to. Tensors of
    the shape of an embedding table are their gradients, which come last and are counted elsewhere."""

    def __init__(self, tables: frozenset[torch.Size]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tables = tables
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
            if isinstance(leaf, Tensor) and leaf.shape not in self._tables:
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
