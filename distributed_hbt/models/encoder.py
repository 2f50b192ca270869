"""The encoder: a Hugging Face backbone, pooling, normalisation."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from distributed_hbt.errors import ConfigError
from distributed_hbt.models.attention import (
    attends_causally,
    first_position,
    padded_right,
    positions,
    takes_positions,
)
from distributed_hbt.models.last_layer import (
    can_run_for_one_token,
    for_one_packed_token,
    for_one_token,
    last_layer,
)
from distributed_hbt.models.packed_attention import is_packed, packed_arguments
from distributed_hbt.models.packing import Packing, packed
from distributed_hbt.models.pooling import pool, pool_packed, pooled_place, pooled_position


class Encoder(nn.Module):
    """Token ids -> one embedding a text. Its attention is set before (see `attention.set_attention`)."""

    def __init__(self, backbone: Any, *, pooling: str, padding_side: str, normalize: bool) -> None:
        """Raises ConfigError where the backbone can not be padded on the left."""
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.padding_side = padding_side
        self.normalize = normalize
        self._first_position = first_position(backbone)
        # No real token sees the padding to its right, and only a real token is pooled: leaving the mask
        # out changes nothing and lets the kernel use its causal path.
        self._causal = attends_causally(backbone)
        self._needs_mask = not (padding_side == "right" and pooling == "last_token" and self._causal)
        if padding_side == "left" and not takes_positions(backbone):
            what = f"a {backbone.config.model_type} takes no positions, which left padding needs"
            raise ConfigError("model.padding_side", what, "set it to right")
        backbone.config.use_cache = False  # a text goes through once

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return int(self.backbone.config.hidden_size)

    @property
    def shortens_last_layer(self) -> bool:
        """Whether the last layer runs for the pooled token alone."""
        return self.pooling != "mean" and can_run_for_one_token(self.backbone)

    def forward(self, input_ids_BL: Tensor, layout: Tensor | Packing) -> Tensor:
        """embedding_BD in float32, of unit length where `normalize` is set.

        `layout` is attention_mask_BL, 1 on real tokens, at least one a row, padded on `padding_side`; or,
        where the backbone takes packed rows, the packing of input_ids_1T.
        """
        if is_packed(self.backbone):
            return self._embedding_of_packed(input_ids_BL, layout)
        assert isinstance(layout, Tensor), "the backbone takes no packed rows"
        return self._embedding(input_ids_BL, layout, self.padding_side, masked=self._needs_mask)

    def with_tokens(self, input_ids_BL: Tensor, attention_mask_BL: Tensor) -> tuple[Tensor, Tensor]:
        """embedding_BD as `forward` gives it, and the last layer's states of all tokens, hidden_BLD."""
        side = self.padding_side
        masked = self._mask_and_positions(attention_mask_BL, side)
        inputs = masked if self._needs_mask else {"attention_mask": None}
        hidden_BLD: Tensor = self.backbone(input_ids=input_ids_BL, **inputs).last_hidden_state
        return self._normalized(pool(self.pooling, hidden_BLD, attention_mask_BL, side)), hidden_BLD

    @torch.no_grad()
    def embed(self, input_ids_BL: Tensor, layout: Tensor | Packing) -> Tensor:
        """embedding_BD as `forward` gives it, to rounding, for encoding alone: no gradient, less work.

        Causal attention goes without a mask whatever the padding and the pooling, and where one token is
        pooled the last layer runs for it alone. Only in evaluation mode.
        """
        assert not self.training, "call eval() before encoding"
        if is_packed(self.backbone) or not self._causal or self._first_position > 0:
            return self(input_ids_BL, layout)  # type: ignore[no-any-return]
        assert isinstance(layout, Tensor), "the backbone takes no packed rows"
        if self.padding_side == "left":
            input_ids_BL, layout = padded_right(input_ids_BL, layout)
        return self._embedding(input_ids_BL, layout, "right", masked=False)

    def _embedding(
        self, input_ids_BL: Tensor, attention_mask_BL: Tensor, side: str, *, masked: bool
    ) -> Tensor:
        inputs = self._mask_and_positions(attention_mask_BL, side) if masked else {"attention_mask": None}
        position_B = pooled_position(self.pooling, attention_mask_BL, side)
        if position_B is None or not can_run_for_one_token(self.backbone):
            hidden_BLD = self.backbone(input_ids=input_ids_BL, **inputs).last_hidden_state
            return self._normalized(pool(self.pooling, hidden_BLD, attention_mask_BL, side))
        with for_one_token(self.backbone, position_B, attention_mask_BL):
            pooled_B1D = self.backbone(input_ids=input_ids_BL, **inputs).last_hidden_state
        return self._normalized(pooled_B1D[:, 0].float())

    def _embedding_of_packed(self, input_ids: Tensor, layout: Tensor | Packing) -> Tensor:
        """Of a packed row; a padded batch is packed first, which waits for the device."""
        input_ids_1T, packing = (
            packed(input_ids, layout) if isinstance(layout, Tensor) else (input_ids, layout)
        )
        arguments = packed_arguments(packing, self._first_position)
        place_B = pooled_place(self.pooling, packing)
        if place_B is None or not can_run_for_one_token(self.backbone):
            hidden_1TD = self.backbone(input_ids=input_ids_1T, **arguments).last_hidden_state
            return self._normalized(pool_packed(self.pooling, hidden_1TD[0], packing))
        with for_one_packed_token(self.backbone, place_B):
            pooled_1BD = self.backbone(input_ids=input_ids_1T, **arguments).last_hidden_state
        return self._normalized(pooled_1BD[0].float())

    def _normalized(self, pooled_BD: Tensor) -> Tensor:
        return functional.normalize(pooled_BD, dim=-1) if self.normalize else pooled_BD

    def enable_activation_checkpointing(self) -> None:
        """Recompute every layer in the backward pass; raises ConfigError where the backbone can not."""
        if not getattr(self.backbone, "supports_gradient_checkpointing", False):
            what = f"a {self.backbone.config.model_type} does not support it"
            raise ConfigError("train.activation_checkpointing", what, "set it to false")
        older = self.backbone.gradient_checkpointing_enable  # its name before transformers 5.2x
        enable = getattr(self.backbone, "activation_checkpointing_enable", older)
        enable({"use_reentrant": False})
        if self.shortens_last_layer:
            # It has few activations, and could not be run again: what shortens it is gone by then.
            last_layer(self.backbone).gradient_checkpointing = False
        # Reentrant checkpointing needs inputs with a gradient, this one does not. Without, frozen layers
        # below the first adapter are neither recomputed nor passed through backwards.
        self.backbone.disable_input_require_grads()

    def _mask_and_positions(self, attention_mask_BL: Tensor, side: str) -> dict[str, Tensor | None]:
        if side == "left" or self._first_position > 0:
            # RoBERTa's kin would otherwise count tokens that differ from the padding token.
            position_ids_BL = positions(attention_mask_BL, self._first_position)
            return {"attention_mask": attention_mask_BL, "position_ids": position_ids_BL}
        return {"attention_mask": attention_mask_BL}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moves and casts like any module, but keeps the precision of computed constants.

        Rotary frequencies are float32 also in a bfloat16 model; `bfloat16()`, which DeepSpeed calls,
        would round them, and the trained model would differ from the reloaded one.
        """
        constants = [
            (module, name, buffer)
            for module in self.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None and name in module._non_persistent_buffers_set
        ]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for module, name, buffer in constants:
            moved = module._buffers[name]
            if moved is not None and moved.dtype != buffer.dtype:
                module._buffers[name] = buffer.to(moved.device)
        return self
