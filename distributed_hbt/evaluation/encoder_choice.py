"""The encoder that a checkpoint holds, as evaluation and mining run it."""

from pathlib import Path

from distributed_hbt.checkpoint_marker import check_encoder
from distributed_hbt.config.evaluation import EvaluationConfig
from distributed_hbt.errors import CheckpointError, ConfigError
from distributed_hbt.evaluation.fingerprint import encoder_fingerprint
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.models.manifest import EncoderManifest


def encoder_choice(config: EvaluationConfig, checkpoint: Path) -> EncoderChoice:
    """The encoder of a checkpoint and how it is run.

    Raises CheckpointError for a folder without an encoder, or one whose files are not what was written,
    ConfigError for a dimension that it lacks.
    """
    folder = encoder_folder(checkpoint)
    check_encoder(folder)
    dimension = EncoderManifest.read(folder).embedding_dimension
    if config.dimension is not None and config.dimension > dimension:
        what = f"{config.dimension} is more than the embedding's {dimension}"
        raise ConfigError("evaluation.dimension", what, "choose a prefix of the embedding, or null")
    return EncoderChoice(folder, encoder_fingerprint(folder), config.dimension, config.max_tokens_per_batch)


def encoder_folder(checkpoint: Path) -> Path:
    """The folder with encoder.json: `checkpoint` itself, or encoder/ in it. Raises CheckpointError."""
    for folder in (checkpoint / "encoder", checkpoint):
        if (folder / "encoder.json").is_file():
            return folder.absolute()
    raise CheckpointError(
        str(checkpoint), "neither this folder nor encoder/ in it has an encoder.json", "name a checkpoint"
    )
