"""Token lists or a stream of texts -> embeddings, in batches of similar length cut by a budget of tokens."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from distributed_hbt.errors import ConfigError
from distributed_hbt.read_ahead import read_ahead

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

logger = logging.getLogger(__name__)

CPU_TOKENS = 512
"""More padded tokens at once are slower on a CPU: activations leave its caches, and lengths differ more."""

_COPIED_AT_ONCE = 64 << 20  # bytes of embeddings that wait on the device for one copy to the host

Row = TypeVar("Row")


class Embedding(Protocol):
    """The part of `models.encoder.Encoder` that encoding needs."""

    training: bool

    def train(self, mode: bool = ..., /) -> object: ...
    def embed(self, input_ids_BL: "torch.Tensor", attention_mask_BL: "torch.Tensor", /) -> "torch.Tensor": ...


class Padding(Protocol):
    """The part of `models.text.TextEncoder` that `encode` needs."""

    def pad(self, token_lists: Sequence[list[int]], /) -> "tuple[torch.Tensor, torch.Tensor]": ...


class Texts(Padding, Protocol):
    """The part of `models.text.TextEncoder` that `encode_stream` needs."""

    def passages(self, texts: Sequence[str], /) -> list[list[int]]: ...


def encode(
    encoder: Embedding,
    texts: Padding,
    token_lists: Sequence[list[int]],
    *,
    max_tokens_per_batch: int,
    device: "str | torch.device" = "cpu",
    dimension: int | None = None,
    normalize: bool = True,
) -> "Floats":
    """Embeddings [N, D], float32, in the order of `token_lists`.

    Equal token lists are encoded once and so get equal embeddings. Batches hold texts of similar length:
    at most `max_tokens_per_batch` padded tokens (on a CPU CPU_TOKENS, where that is less), but never less
    than one text. `dimension` keeps a prefix of the embedding (Matryoshka, arXiv 2205.13147), at unit
    length again when `normalize`. Raises ConfigError when the embedding is shorter than `dimension`.
    """
    import numpy as np
    import torch

    from distributed_hbt.evaluation.batches import best_batches

    device = torch.device(device)
    places: dict[tuple[int, ...], int] = {}
    row_of_N = [places.setdefault(tuple(tokens), len(places)) for tokens in token_lists]
    distinct = [list(tokens) for tokens in places]
    lengths = np.array([len(tokens) for tokens in distinct], dtype=np.int64)
    budget = min(max_tokens_per_batch, CPU_TOKENS) if device.type == "cpu" else max_tokens_per_batch
    embeddings = _Rows(len(distinct))
    with _evaluation_mode(encoder):
        # The longest first, so that a budget which does not fit the memory fails early.
        for positions in best_batches(lengths, budget):
            rows = positions.tolist()
            ids_BL, mask_BL = texts.pad([distinct[row] for row in rows])
            embedding_BD = encoder.embed(_moved(ids_BL, device), _moved(mask_BL, device))
            if dimension is not None:
                embedding_BD = _prefix(embedding_BD, dimension, normalize)
            embeddings.add(rows, embedding_BD)
    distinct_ND = embeddings.whole()
    if distinct_ND is None:
        return np.zeros((0, dimension or 0), dtype=np.float32)
    return distinct_ND if len(distinct) == len(row_of_N) else distinct_ND[row_of_N]


def encode_stream(
    encoder: Embedding,
    texts: Texts,
    rows: Iterable[Row],
    text_of: Callable[[Row], str],
    *,
    window: int,
    max_tokens_per_batch: int,
    device: "str | torch.device" = "cpu",
    dimension: int | None = None,
    normalize: bool = True,
) -> "Iterator[tuple[list[Row], Floats]]":
    """(rows, embeddings [N, D] of their passages), up to `window` rows at a time, in the order of `rows`.

    A window is encoded as by `encode`, while a side thread reads and tokenizes the next one: `rows` and
    `text_of` are called from that thread, and at most two windows are alive. What a window holds, and so
    its embeddings, depends on the rows alone. What `rows`, `text_of` or the tokenizer raises comes out here
    as it is, after the windows before it.
    """

    def tokenized() -> Iterator[tuple[list[Row], list[list[int]]]]:
        remaining = iter(rows)
        while held := list(islice(remaining, window)):
            yield held, texts.passages([text_of(row) for row in held])

    for held, token_lists in read_ahead(tokenized()):
        embedding_ND = encode(
            encoder,
            texts,
            token_lists,
            max_tokens_per_batch=max_tokens_per_batch,
            device=device,
            dimension=dimension,
            normalize=normalize,
        )
        yield held, embedding_ND


class _Rows:
    """Embeddings on their way to the host, many batches a copy: no batch waits for the one before it."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._whole: Floats | None = None
        self._rows: list[int] = []
        self._waiting: list[torch.Tensor] = []
        self._bytes = 0
        self._copied = 0

    def add(self, rows: list[int], embedding_BD: "torch.Tensor") -> None:
        """`embedding_BD` are the embeddings of `rows`."""
        self._rows += rows
        self._waiting.append(embedding_BD)
        self._bytes += embedding_BD.nbytes
        if self._bytes >= _COPIED_AT_ONCE:
            self._copy()

    def whole(self) -> "Floats | None":
        """All embeddings [count, D]; None where there is no row."""
        if self._waiting:
            self._copy()
        return self._whole

    def _copy(self) -> None:
        import numpy as np
        import torch

        copied_ND = torch.cat(self._waiting).cpu().numpy()
        if self._whole is None:
            self._whole = np.empty((self._count, copied_ND.shape[1]), dtype=np.float32)
        self._whole[self._rows] = copied_ND
        self._copied += len(self._rows)
        logger.debug("encoded %d of %d texts", self._copied, self._count)
        self._rows, self._waiting, self._bytes = [], [], 0


@contextmanager
def _evaluation_mode(encoder: Embedding) -> Iterator[None]:
    was_training = encoder.training
    encoder.train(False)
    try:
        yield
    finally:
        encoder.train(was_training)


def _moved(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """On the device; to a GPU through pinned memory, so that the copy does not wait for work under way."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _prefix(embedding_BD: "torch.Tensor", dimension: int, normalize: bool) -> "torch.Tensor":
    from torch.nn.functional import normalize as to_unit_length

    if dimension > embedding_BD.shape[1]:
        raise ConfigError(
            "evaluation.dimension",
            f"{dimension} is more than the embedding's {embedding_BD.shape[1]}",
            "choose a prefix of the embedding, or null",
        )
    prefix_BD = embedding_BD[:, :dimension]
    return to_unit_length(prefix_BD, dim=-1) if normalize else prefix_BD
