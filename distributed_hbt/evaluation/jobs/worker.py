"""What the jobs of one process share: its device and the encoder that was loaded last."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed_hbt.models.saved import LoadedEncoder


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """The encoder of a job and how it is run; everything that decides an embedding.

    `folder` holds encoder.json; `fingerprint` is that of its contents. `dimension` keeps a prefix of the
    embedding (Matryoshka), null all of it.
    """

    folder: Path
    fingerprint: str
    dimension: int | None
    max_tokens_per_batch: int


class Worker:
    """One process that does jobs. `done` counts the texts of the job in hand, `place` says where it is."""

    def __init__(self, device: str | None = None) -> None:
        """Encodes on the first GPU where there is one, unless `device` says otherwise."""
        self._device = device
        self._loaded: tuple[str, LoadedEncoder] | None = None
        self.done = 0
        self.place = ""

    @property
    def device(self) -> str:
        if self._device is None:
            import torch

            self._device = "cuda" if torch.cuda.is_available() else "cpu"
        return self._device

    def model(self, choice: EncoderChoice) -> "LoadedEncoder":
        """The encoder, loaded unless it is the one in hand. Raises CheckpointError."""
        if self._loaded is None or self._loaded[0] != choice.fingerprint:
            from distributed_hbt.models.saved import load_encoder

            self._loaded = None  # two large encoders would not fit
            self._loaded = (choice.fingerprint, load_encoder(choice.folder, device=self.device))
        return self._loaded[1]

    def begin(self) -> None:
        """A job begins: forget the progress of the one before."""
        self.done, self.place = 0, ""

    def advance(self, texts: int, place: str = "") -> None:
        """The job in hand has encoded so many more texts, and is at `place` (file:line)."""
        self.done += texts
        self.place = place or self.place
