"""What a teacher adds to the gradient equals one plain-torch process, text by text."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.distributed.ranks import RankPool
from tests.distributed.reference import Reference, relative_error
from tests.distributed.run_for_tests import rows
from tests.distributed.run_for_tests import zero_overrides as overrides
from tests.tiny_encoder import write_checkpoint

TOLERANCE = 1e-5
LORA = "model.lora={rank: 4, alpha: 8}"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with a tokenizer and prompts of its own; of one layer where the student has two."""
    english = [str(row["query"]) for row in rows(40) if row["query_language"] == "en"]
    return write_checkpoint(tmp_path_factory.mktemp("teacher"), english, vocab=300) / "encoder"


def option(teacher: Path, form: str, more: str = "") -> str:
    return f"train.teacher={{encoder: {teacher}, form: {form}, weight: 0.7{more}}}"


@cache
def expected(run_file: Path, *options: str) -> dict[str, np.ndarray]:
    return Reference(run_file, list(options)).gradients()


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("stage", [0, 2])
@pytest.mark.parametrize("gradient", ["plain", "cached"])
@pytest.mark.parametrize("form", ["embedding", "optimal_transport"])
def test_gradient_equals_one_process(
    pools: dict[int, RankPool],
    run_file: Path,
    teacher: Path,
    world_size: int,
    stage: int,
    gradient: str,
    form: str,
) -> None:
    """A cost that grows with the ranks or chunks, a text taught by another's counterpart, a teacher that is
    trained, a passage of two rows counted once."""
    asked = option(teacher, form)
    wanted = expected(run_file, asked)
    assert relative_error(expected(run_file), wanted) > 0.05
    options = overrides(stage, f"train.gradient={gradient}", asked)
    for found in pools[world_size].run("gradients", str(run_file), options):
        assert relative_error(found, wanted) <= TOLERANCE


@pytest.mark.parametrize(
    ("form", "stage", "more"),
    [
        ("embedding", 3, ("train.gradient=cached",)),
        ("optimal_transport", 3, ("train.gradient=cached",)),
        ("embedding", 2, ("train.gradient=cached", "model.padding_free=true")),
        ("embedding", 1, (LORA,)),
        ("optimal_transport", 2, (LORA, "train.gradient=cached", "train.activation_checkpointing=true")),
    ],
)
def test_gradient_equals_one_process_in_other_settings(
    pools: dict[int, RankPool], run_file: Path, teacher: Path, form: str, stage: int, more: tuple[str, ...]
) -> None:
    """A teacher whose weights ZeRO-3 takes apart, targets in the order of a padded chunk."""
    asked = option(teacher, form)
    wanted = expected(run_file, asked, *(one for one in more if "lora" in one))
    for found in pools[2].run("gradients", str(run_file), overrides(stage, asked, *more)):
        assert relative_error(found, wanted) <= TOLERANCE


@pytest.mark.parametrize("form", ["embedding", "optimal_transport"])
@pytest.mark.parametrize("gradient", ["plain", "cached"])
def test_parallel_text_alone_equals_one_process(
    pools: dict[int, RankPool], run_file: Path, teacher: Path, form: str, gradient: str
) -> None:
    """A contrastive loss that is left in, or the gather that ranks wait for and nobody needs."""
    asked = option(teacher, form, ", contrastive: false")
    options = overrides(2, asked, f"train.gradient={gradient}", "sampling.strategy=x_y")
    wanted = expected(run_file, asked, "sampling.strategy=x_y")
    for found in pools[2].run("gradients", str(run_file), options):
        assert relative_error(found, wanted) <= TOLERANCE
