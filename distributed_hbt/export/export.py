"""A checkpoint -> a folder that sentence-transformers, transformers or peft reads, whole or not at all."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from distributed_hbt.aside import aside
from distributed_hbt.config.load import dump
from distributed_hbt.errors import CheckpointError, ConfigError
from distributed_hbt.evaluation.encoder_choice import encoder_folder
from distributed_hbt.export.card import CONFIG_FILE, Exported, model_card
from distributed_hbt.export.data_facts import without_address
from distributed_hbt.export.provenance import Provenance, provenance
from distributed_hbt.export.sentence_transformers_files import write_sentence_transformers_files
from distributed_hbt.export.tokenizer import check_tokens, framed_tokenizer, settle_tokenizer
from distributed_hbt.models.attention import position_table
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import LoadedEncoder, load_encoder, save_encoder

Format = Literal["sentence-transformers", "hf"]
FORMATS: tuple[Format, ...] = ("sentence-transformers", "hf")

_MERGE = "give --merge-lora"
_log = logging.getLogger(__name__)


def export_encoder(
    checkpoint: Path, out: Path, *, format: Format = "sentence-transformers", merge_lora: bool = False
) -> Path:
    """Write the encoder of `checkpoint` (a step folder, or an encoder folder) to `out`; returns `out`.

    With `merge_lora` an adapter is added to the weights below it, in float32; without, the folder holds the
    adapter, which stands on its base. The folder has an encoder.json too: `load_encoder` reads it.

    Raises ConfigError where `out` is there already, CheckpointError for a checkpoint that can not be read, or
    that the format can not hold.
    """
    check_out(out)
    source = encoder_folder(checkpoint)
    trained = EncoderManifest.read(source)
    loaded = _load(source, trained, merge_lora)
    manifest = _exported(trained, source, loaded)
    _check_format(manifest, loaded, source, format)
    with written_aside(out) as folder:
        tokenizer = framed_tokenizer(loaded.texts)
        save_encoder(folder, loaded.encoder, tokenizer, manifest, loaded.encoder.state_dict())
        settle_tokenizer(folder, max(manifest.max_query_length, manifest.max_passage_length))
        check_tokens(folder, loaded.texts)
        if format == "sentence-transformers":
            write_sentence_transformers_files(folder, manifest, bidirectional=_was_switched(loaded))
        _write_card(folder, Exported(out.name, format, trained, manifest), provenance(source))
    return out


def check_out(out: Path) -> None:
    """Raises ConfigError where something stands at `out`, unless it is an empty folder."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists():
        raise ConfigError("--out", f"{out} is there already", "choose another folder, or empty it")


@contextmanager
def written_aside(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, which becomes `out` at the end, and is removed on an error.

    Raises ConfigError where the place can not be written.
    """
    partial = aside(out.absolute())
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(out)
    except OSError as error:
        what = f"{out} can not be written ({error.strerror or error})"
        raise ConfigError("--out", what, "choose another folder, or make room") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_card(folder: Path, exported: Exported, run: Provenance | None) -> None:
    (folder / "README.md").write_text(model_card(exported, run), encoding="utf-8")
    if run is not None:
        (folder / CONFIG_FILE).write_text(dump(without_address(run.config)), encoding="utf-8")


def _load(source: Path, manifest: EncoderManifest, merge_lora: bool) -> LoadedEncoder:
    """Adapters are merged in float32, then rounded once."""
    if not (merge_lora and manifest.adapter):
        return load_encoder(source)
    loaded = load_encoder(source, dtype="float32", merge_lora=True)
    loaded.encoder.to(getattr(torch, manifest.dtype))
    return loaded


def _exported(manifest: EncoderManifest, source: Path, loaded: LoadedEncoder) -> EncoderManifest:
    """The manifest of the export. Texts are told from padding by the mask, so that its side is free; other
    libraries count positions from the left."""
    backbone: Any = loaded.encoder.backbone
    kept = manifest.adapter and hasattr(backbone, "peft_config")
    backbone.config.dtype = getattr(torch, manifest.dtype)
    base = manifest.base_location(source) if kept else manifest.base
    if not kept and base is not None and base.startswith((".", "/")):
        base = None  # a folder of this machine, of which the export is independent
    return manifest.model_copy(update={"adapter": kept, "base": base, "padding_side": "right"})


def _check_format(manifest: EncoderManifest, loaded: LoadedEncoder, source: Path, format: Format) -> None:
    """Raises CheckpointError for what the files of the format can not say."""
    table = position_table(loaded.encoder.backbone)
    padding = None if table is None else table.padding_idx
    if padding is not None and padding != loaded.texts.tokenizer.pad_token_id:
        what = f"the model counts positions by the padding token {padding}, which is not the tokenizer's"
        raise CheckpointError(str(source), what, "use the checkpoint with load_encoder")
    if not manifest.adapter:
        return
    if _was_switched(loaded):
        what = "an adapter's folder can not say that the decoder below it attends to both sides"
        raise CheckpointError(str(source), what, _MERGE)
    if format == "sentence-transformers" and manifest.revision is not None:
        what = f"sentence-transformers does not read the revision {manifest.revision} of an adapter's base"
        raise CheckpointError(str(source), what, _MERGE)
    if manifest.base is not None and Path(manifest.base).is_absolute():
        _log.warning("the adapter stands on %s, which has to stay there, or %s", manifest.base, _MERGE)


def _was_switched(loaded: LoadedEncoder) -> bool:
    """Whether the encoder is a decoder that was made bidirectional."""
    return getattr(loaded.encoder.backbone.config, "is_causal", True) is False
