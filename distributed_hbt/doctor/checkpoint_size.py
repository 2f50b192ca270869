"""How large a checkpoint of a run gets."""

from distributed_hbt.config.run import RunConfig

STATE_BYTES = 12
"""A trained parameter in the engine's state: the float32 copy that AdamW updates, and its two moments."""
_WEIGHT_BYTES = {"float32": 4, "bfloat16": 2}


def checkpoint_bytes(run: RunConfig) -> int | None:
    """Bytes on disk; None where the base model's configuration can not be read here.

    Each trained parameter is written three times: with its optimizer state, as the engine's weight, and in
    the encoder; the frozen ones of a LoRA run are not. Tokenizer and small files are left out. Raises
    ConfigError where the model can not be made.
    """
    from distributed_hbt.models.shapes import trained_parameters

    trained = trained_parameters(run.model)
    if trained is None:
        return None
    return trained * (STATE_BYTES + 2 * _WEIGHT_BYTES[run.model.dtype])
