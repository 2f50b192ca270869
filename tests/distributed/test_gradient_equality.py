"""Gradients and losses equal one plain-torch process over the whole global batch."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.distributed.ranks import RankPool
from tests.distributed.reference import Reference, relative_error
from tests.distributed.run_for_tests import zero_overrides as overrides

LORA = "model.lora={rank: 4, alpha: 8}"
TOLERANCE = 1e-5


@cache
def reference_gradients(run_file: Path, *options: str) -> dict[str, np.ndarray]:
    return Reference(run_file, list(options)).gradients()


@cache
def reference_training(run_file: Path, *options: str) -> Any:
    return Reference(run_file, list(options)).losses_and_weights(10)


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("gradient", ["plain", "cached"])
@pytest.mark.parametrize("lora", [(), (LORA,)], ids=["full", "lora"])
def test_gradient_equals_one_process(
    pools: dict[int, RankPool],
    run_file: Path,
    world_size: int,
    stage: int,
    gradient: str,
    lora: tuple[str, ...],
) -> None:
    """A factor of the world size, a gradient reduced twice or not at all, a chunk left out."""
    options = overrides(stage, f"train.gradient={gradient}", *lora)
    answers = pools[world_size].run("gradients", str(run_file), options)
    expected = reference_gradients(run_file, *lora)
    assert all(np.abs(gradient).max() > 0 for name, gradient in expected.items() if "lora" in name)
    for found in answers:
        assert relative_error(found, expected) <= TOLERANCE


@pytest.mark.parametrize(
    "options", [("train.gradient=plain",), ("train.gradient=cached",), ("train.gradient=cached", LORA)]
)
def test_gradient_with_offload_equals_one_process(
    pools: dict[int, RankPool], run_file: Path, options: tuple[str, ...]
) -> None:
    """Gradients that are copied to the CPU before they are reduced, or of the last chunk alone."""
    lora = [option for option in options if option == LORA]
    for found in pools[2].run("gradients", str(run_file), overrides("3_offload", *options)):
        assert relative_error(found, reference_gradients(run_file, *lora)) <= TOLERANCE


@pytest.mark.parametrize("stage", [2, 3])
@pytest.mark.parametrize("lora", [(), (LORA,)], ids=["full", "lora"])
def test_activation_checkpointing_changes_no_gradient(
    pools: dict[int, RankPool], run_file: Path, stage: int, lora: tuple[str, ...]
) -> None:
    """Layers that are recomputed from inputs without a gradient, so that nothing reaches the adapters."""
    options = overrides(stage, "train.activation_checkpointing=true", *lora)
    losses, norms, _ = reference_training(run_file, *lora)
    for found_losses, found_norms, _ in pools[2].run("losses_and_weights", str(run_file), options, 10):
        assert found_losses == pytest.approx(losses, abs=TOLERANCE)
        assert found_norms == pytest.approx(norms, rel=1e-3)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_bfloat16_gradient_is_near_the_exact_one(
    pools: dict[int, RankPool], run_file: Path, stage: int
) -> None:
    """Gradients summed or scaled wrongly in the mixed-precision path, which rounding must not hide: two
    processes in bfloat16 differ by about 1e-2, a wrong factor by 0.5 or more."""
    (found, _) = pools[2].run(
        "losses_and_weights", str(run_file), overrides(stage, "model.dtype=bfloat16"), 2
    )
    losses, norms, _ = reference_training(run_file)
    assert found[0] == pytest.approx(losses[:2], rel=2e-2)
    assert found[1] == pytest.approx(norms[:2], rel=5e-2)


@pytest.mark.parametrize("option", ["train.symmetric=true", "train.loss=printed", "sampling.strategy=x_y"])
def test_gradient_equals_one_process_for_other_losses(
    pools: dict[int, RankPool], run_file: Path, option: str
) -> None:
    """A second direction or a mask that looks at local columns only."""
    (found, _) = pools[2].run("gradients", str(run_file), overrides(2, option))
    assert relative_error(found, reference_gradients(run_file, option)) <= TOLERANCE


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("gradient", ["plain", "cached"])
def test_distillation_equals_one_process(
    pools: dict[int, RankPool], run_file: Path, world_size: int, gradient: str
) -> None:
    """A divergence that is summed where InfoNCE is averaged, that grows with the ranks, or that takes the
    scores of another row's passages."""
    option = "train.distillation={weight: 0.7, teacher_temperature: 2.0, temperature: 0.25}"
    expected = reference_gradients(run_file, option)
    assert relative_error(reference_gradients(run_file), expected) > 0.05
    options = overrides(2, f"train.gradient={gradient}", option)
    for found in pools[world_size].run("gradients", str(run_file), options):
        assert relative_error(found, expected) <= TOLERANCE


@pytest.fixture(scope="module")
def pretrained(run_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Overrides that start from a saved model instead of random weights."""
    folder = tmp_path_factory.mktemp("base")
    reference = Reference(run_file, [])
    reference.encoder.backbone.save_pretrained(folder)
    reference.texts.tokenizer.save_pretrained(folder)
    return (f"model={{base: {folder}, dtype: float32, max_query_length: 48, max_passage_length: 96}}",)


@pytest.mark.parametrize("stage", [2, 3, "3_offload"])
@pytest.mark.parametrize("lora", [(), (LORA,)], ids=["full", "lora"])
def test_pretrained_base_equals_one_process(
    pools: dict[int, RankPool],
    run_file: Path,
    pretrained: tuple[str, ...],
    stage: int | str,
    lora: tuple[str, ...],
) -> None:
    """Weights that ZeRO-3 partitions while they are loaded, and that are then lost or left random."""
    options = (*pretrained, *lora)
    losses, _, weights = reference_training(run_file, *options)
    answers = pools[2].run("losses_and_weights", str(run_file), overrides(stage, *options), 10)
    assert answers[0][0] == pytest.approx(losses, abs=TOLERANCE)
    assert relative_error(answers[0][2], weights) <= 1e-4


@pytest.mark.parametrize("stage", [0, 2, 3])
@pytest.mark.parametrize("gradient", ["plain", "cached"])
def test_gradient_without_padding_equals_one_padded_process(
    pools: dict[int, RankPool], run_file: Path, stage: int, gradient: str
) -> None:
    """Chunks cut by real tokens that lose or repeat a text, rows of the packed batch in another order."""
    options = overrides(stage, f"train.gradient={gradient}", "model.padding_free=true")
    for found in pools[2].run("gradients", str(run_file), options):
        assert relative_error(found, reference_gradients(run_file)) <= TOLERANCE


@pytest.mark.parametrize(("gradient", "more"), [("plain", ()), ("cached", ("model.padding_free=true",))])
def test_compiled_layers_change_no_gradient(
    pools: dict[int, RankPool], run_file: Path, gradient: str, more: tuple[str, ...]
) -> None:
    """A program made for one chunk's size, or for a forward without gradient, and used for another."""
    options = overrides(2, "train.compile=true", f"train.gradient={gradient}", *more)
    for found in pools[2].run("gradients", str(run_file), options):
        assert relative_error(found, reference_gradients(run_file)) <= TOLERANCE


SMALL = "hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4"
NO_DROPOUT = "hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0"
OTHER_ENCODERS = {
    "xlm-roberta": (NO_DROPOUT, "attention: bidirectional, pooling: mean"),
    "bert": (NO_DROPOUT, "attention: bidirectional, pooling: cls"),
    "llama": ("num_key_value_heads: 2", "padding_side: left, attention: bidirectional"),
    "mistral": ("num_key_value_heads: 2", "matryoshka_dimensions: [8, 16], pooling: mean"),
}


@pytest.mark.parametrize("kind", OTHER_ENCODERS)
@pytest.mark.parametrize("gradient", ["plain", "cached"])
def test_other_encoders_train_alike_on_any_number_of_ranks(
    pools: dict[int, RankPool], run_file: Path, kind: str, gradient: str
) -> None:
    """A pooling, a padding side or a backbone that the distributed step treats otherwise than one process:
    a row's padding depends on the rank and chunk that it falls into."""
    architecture, encoder = OTHER_ENCODERS[kind]
    model = (
        f"model={{architecture: {{model_type: {kind}, {SMALL}, {architecture}}}, {encoder}, dtype: float32, "
        "tokenizer: {train: {vocab_size: 400}}, max_query_length: 48, max_passage_length: 96}"
    )
    options = (model, f"train.gradient={gradient}")
    (alone,) = pools[1].run("losses_and_weights", str(run_file), overrides(0, *options), 5)
    for found, norms, _ in pools[2].run("losses_and_weights", str(run_file), overrides(3, *options), 5):
        assert found == pytest.approx(alone[0], abs=TOLERANCE)
        assert norms == pytest.approx(alone[1], rel=1e-3)
    if "matryoshka" not in model:
        assert alone[0] == pytest.approx(reference_training(run_file, model)[0][:5], abs=TOLERANCE)


@pytest.mark.parametrize("mistake", ["scaled", "detached"])
def test_planted_mistakes_are_found(pools: dict[int, RankPool], run_file: Path, mistake: str) -> None:
    """A test that passes whatever the gather does."""
    (found, _) = pools[2].run("gradients", str(run_file), overrides(2), mistake)
    assert relative_error(found, reference_gradients(run_file)) > 0.05


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("stage", [0, 1, 2, 3, "3_offload"])
@pytest.mark.parametrize("lora", [(), (LORA,)], ids=["full", "lora"])
def test_ten_steps_equal_one_process(
    pools: dict[int, RankPool], run_file: Path, world_size: int, stage: int | str, lora: tuple[str, ...]
) -> None:
    """A right gradient that the optimizer, the schedule, the partitioning or the offload then spoils."""
    losses, norms, weights = reference_training(run_file, *lora)
    answers = pools[world_size].run("losses_and_weights", str(run_file), overrides(stage, *lora), 10)
    for found_losses, found_norms, _ in answers:
        assert found_losses == pytest.approx(losses, abs=TOLERANCE)
        assert found_norms == pytest.approx(norms, rel=1e-3)
    assert relative_error(answers[0][2], weights) <= 1e-4


@pytest.mark.parametrize("stage", [0, 2, 3, "3_offload"])
def test_clipping_equals_one_process(pools: dict[int, RankPool], run_file: Path, stage: int | str) -> None:
    """Clipping by a norm of one partition, or DeepSpeed's own default of 1.0."""
    option = "train.max_grad_norm=0.3"
    losses, norms, _ = reference_training(run_file, option)
    assert max(norms) > 0.3
    for found_losses, found_norms, _ in pools[2].run(
        "losses_and_weights", str(run_file), overrides(stage, option), 10
    ):
        assert found_losses == pytest.approx(losses, abs=TOLERANCE)
        assert found_norms == pytest.approx(norms, rel=1e-3)
