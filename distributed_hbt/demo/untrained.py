"""The encoder before any training, for the first row of the demo's table."""

from pathlib import Path

from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.trained_tokenizer import prepare_tokenizer
from distributed_hbt.evaluation.evaluate import evaluate_checkpoint
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import save_encoder


def evaluate_untrained(config: RunConfig, stores: Path, folder: Path) -> Path:
    """Save the run's encoder as it starts, evaluate it; the folder of its results."""
    out = folder / "evaluation"
    if not (folder / "encoder" / "encoder.json").exists():
        tokenizer = prepare_tokenizer(config, stores)
        encoder = build_encoder(config.model, config.seed, vocab_size=len(tokenizer))
        manifest = EncoderManifest.from_config(config.model, embedding_dimension=encoder.dimension)
        save_encoder(folder / "encoder", encoder, tokenizer, manifest, encoder.state_dict())
    evaluate_checkpoint(config.evaluation, folder, out, stores=stores, executor=LocalExecutor())
    return out
