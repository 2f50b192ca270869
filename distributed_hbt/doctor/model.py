"""The models and tokenizers that the run starts from: local folders, or repositories of the hub."""

import json
import os
from pathlib import Path

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.doctor.finding import Finding, Subject
from distributed_hbt.doctor.hub import hub_finding, repository_finding

_CHECK = "model"
_INDEX = "model.safetensors.index.json"
_WHOLE = "model.safetensors"


def check(subject: Subject) -> list[Finding]:
    """The base with its files, its configuration, and a tokenizer that can be loaded. No weight is read."""
    run = subject.run
    if run is None:
        return [hub_finding(_CHECK)]
    found = _model(run.model, "model")
    teacher = run.train.teacher
    if teacher is not None and teacher.model is not None:
        found += _model(teacher.model, "train.teacher.model")
    if teacher is not None and teacher.encoder is not None:
        found.append(_encoder(Path(teacher.encoder)))
    return found


def _model(model: ModelConfig, field: str) -> list[Finding]:
    found = [] if model.base is None else [_base(model.base, model.revision, f"{field}.base")]
    if isinstance(model.tokenizer, str):
        found.append(_tokenizer(model.tokenizer, None, f"{field}.tokenizer"))
    elif model.base is not None and Path(model.base).exists() and found[0].status == "ok":
        found.append(_tokenizer(model.base, model.revision, f"{field}.base"))
    what = "random weights and a tokenizer that is trained on the spot: nothing is loaded"
    return found or [Finding(_CHECK, "ok", what)]


def _base(base: str, revision: str | None, field: str) -> Finding:
    if not Path(base).exists():
        return repository_finding(_CHECK, base, "model", revision)
    trouble = _folder_trouble(Path(base))
    if trouble is None:
        return Finding(_CHECK, "ok", f"{field}: {base} has its configuration and weights")
    remedy = "give the folder of a complete Hugging Face model, or fetch it again"
    return Finding(_CHECK, "failure", f"{field}: {base} {trouble}", remedy)


def _folder_trouble(folder: Path) -> str | None:
    """What a model's folder lacks."""
    if not folder.is_dir():
        return "is no folder"
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return f"has no config.json that can be read ({error})"
    names = [_WHOLE] if (folder / _WHOLE).is_file() else []
    if (folder / _INDEX).is_file():
        try:
            names = sorted(
                set(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values())
            )
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            return f"has an {_INDEX} that can not be read ({error})"
    if not names:
        return f"has no weights ({_WHOLE} or {_INDEX})"
    absent = [name for name in names if not os.access(folder / name, os.R_OK)]
    return f"lacks {len(absent)} of {len(names)} files of weights, as {absent[0]}" if absent else None


def _tokenizer(name: str, revision: str | None, field: str) -> Finding:
    if not Path(name).exists():
        return repository_finding(_CHECK, name, "model", revision)
    from distributed_hbt.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(name, revision=revision)  # its ConfigError becomes the finding
    return Finding(_CHECK, "ok", f"{field}: the tokenizer of {name} has {len(tokenizer):,} tokens")


def _encoder(folder: Path) -> Finding:
    field = "train.teacher.encoder"
    if (folder / "encoder.json").is_file():
        return Finding(_CHECK, "ok", f"{field}: {folder} holds an encoder")
    what = f"{field}: {folder} has no encoder.json"
    return Finding(_CHECK, "failure", what, "name the encoder/ of a checkpoint")
