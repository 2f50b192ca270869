"""The frozen teacher of a run: what it reads, and what it says to the inputs of a step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from distributed_hbt.config.model import TokenizerConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.config.train import TeacherConfig
from distributed_hbt.data.counterparts import Counterparts
from distributed_hbt.data.store import Store, prepare_store
from distributed_hbt.errors import ConfigError
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.saved import load_encoder, load_texts
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.models.tokenizer import load_tokenizer
from distributed_hbt.train.chunked import TokenStates, Transport
from distributed_hbt.train.inputs import Lesson, StepInputs, TaughtInputs, TeacherTexts


@dataclass(frozen=True)
class Teacher:
    """Answers for the inputs of a step, without a gradient; every rank has one."""

    encoder: Encoder
    form: Literal["embedding", "optimal_transport"]

    @torch.no_grad()
    def answered(self, inputs: StepInputs) -> StepInputs:
        """The inputs with what the teacher says: its embeddings, or its token states beside each chunk."""
        taught = inputs.taught
        assert taught is not None
        sizes = [chunk.texts for chunk in inputs.chunks]
        given = list(zip(taught.lessons, sizes, strict=True))
        if self.form == "embedding":
            target_SD = torch.cat([self._embeddings(lesson, size, taught) for lesson, size in given])
            return replace(inputs, taught=replace(taught, target_SD=target_SD))
        chunks = tuple(
            chunk if lesson is None else replace(chunk, lesson=self._token_states(lesson, size))
            for chunk, (lesson, size) in zip(inputs.chunks, given, strict=True)
        )
        return replace(inputs, chunks=chunks)

    def _embeddings(self, lesson: Lesson | None, size: int, taught: TaughtInputs) -> Tensor:
        target_BD = taught.count_S.new_zeros(size, self.encoder.dimension)
        if lesson is None:
            return target_BD
        return target_BD.index_copy(0, lesson.row_K, self.encoder.embed(lesson.input_ids_KM, lesson.mask_KM))

    def _token_states(self, lesson: Lesson, size: int) -> TokenStates:
        _, hidden_KMD = self.encoder.with_tokens(lesson.input_ids_KM, lesson.mask_KM)
        state_BMD = hidden_KMD.new_zeros(size, *hidden_KMD.shape[1:])
        mask_BM = lesson.mask_KM.new_zeros(size, lesson.mask_KM.shape[1])
        mask_BM[:, 0] = 1  # nobody counts what is moved onto nothing, but it has to be a number
        return TokenStates(
            state_BMD.index_copy(0, lesson.row_K, hidden_KMD),
            mask_BM.index_copy(0, lesson.row_K, lesson.mask_KM),
        )


def prepare_teacher(
    config: RunConfig, texts: TextEncoder | None, store: Store, folder: Path
) -> TeacherTexts | None:
    """The data in the teacher's tokens, built below `folder` if it is not there; None without a teacher.

    Raises DataError where no text is in its language.
    """
    teacher = config.train.teacher
    if teacher is None or texts is None:
        return None
    Counterparts(store, teacher.language)
    theirs = prepare_store(config, texts, folder)
    assert len(theirs.query_lengths) == len(store.query_lengths)
    assert len(theirs.passage_lengths) == len(store.passage_lengths)
    return TeacherTexts(texts, theirs)


def build_teacher(config: RunConfig, dimension: int, device: torch.device) -> Teacher | None:
    """The teacher of a run on its device; `dimension` is the encoder's. Raises as `teacher_texts` does, and
    ConfigError where the two do not match."""
    teacher = config.train.teacher
    if teacher is None:
        return None
    encoder = _encoder(teacher, device).requires_grad_(False).eval()
    if encoder.dimension != dimension:
        what = f"its embeddings have {encoder.dimension} dimensions, those of the model {dimension}"
        raise ConfigError("train.teacher", what, "take a teacher, or a model, of the other's width")
    return Teacher(encoder, teacher.form)


def transport_of(config: RunConfig) -> Transport | None:
    """How token states are compared, where they are."""
    teacher = config.train.teacher
    if teacher is None or teacher.form != "optimal_transport":
        return None
    return Transport(teacher.regularisation, teacher.iterations)


def teacher_texts(config: RunConfig) -> TextEncoder | None:
    """What turns texts into the teacher's tokens; None without a teacher.

    Raises ConfigError or CheckpointError for one that can not be read.
    """
    teacher = config.train.teacher
    if teacher is None:
        return None
    model = teacher.model
    if model is None:
        assert teacher.encoder is not None
        return load_texts(Path(teacher.encoder))
    assert model.base is not None
    assert not isinstance(model.tokenizer, TokenizerConfig)  # the configuration refuses it
    with _named():
        tokenizer = load_tokenizer(
            model.tokenizer or model.base,
            revision=model.revision if model.tokenizer is None else None,
        )
        return TextEncoder(tokenizer, model)


def _encoder(teacher: TeacherConfig, device: torch.device) -> Encoder:
    if teacher.model is None:
        assert teacher.encoder is not None
        return load_encoder(Path(teacher.encoder), device=device).encoder
    with _named():
        return build_encoder(teacher.model, seed=0).to(device)


@contextmanager
def _named() -> Iterator[None]:
    """An error about `model` is one about the teacher's."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"train.teacher.{error.where}", error.what, error.remedy) from error
