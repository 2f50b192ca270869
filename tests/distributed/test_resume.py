"""A training that is ended at some step and started again goes on as if nothing had happened."""

from pathlib import Path

import numpy as np
import pytest

from tests.distributed.ranks import RankPool
from tests.distributed.run_for_tests import zero_overrides as overrides

LORA = "model.lora={rank: 4, alpha: 8, dropout: 0.1}"


CASES: list[tuple[int | str, tuple[str, ...]]] = [
    (0, ()),
    (1, ()),
    (2, (LORA,)),
    (2, ("train.gradient=cached",)),
    (2, ("model.dtype=bfloat16",)),
    (3, ()),
    (3, (LORA,)),
    ("3_offload", ()),
]


@pytest.mark.parametrize(("stage", "options"), CASES)
@pytest.mark.parametrize("stop", [3, 7])
def test_losses_go_on_identically(
    pools: dict[int, RankPool], run_file: Path, stage: int | str, options: tuple[str, ...], stop: int
) -> None:
    """Optimizer moments, dropout's random state or the place in the data that a restart loses."""
    case = f"z{stage}{''.join(filter(str.isalnum, ''.join(options)))}"
    whole, first, second = (
        [*overrides(stage, *options), f"name={name}"] for name in (f"{case}-whole", *[f"{case}-{stop}"] * 2)
    )
    expected = [loss for _, loss in pools[2].run("train_until", str(run_file), whole, None)[0]]
    if not expected:  # done by the case before
        expected = _WHOLE[case]
    _WHOLE[case] = expected
    before = pools[2].run("train_until", str(run_file), first, stop)[0]
    after = pools[2].run("train_until", str(run_file), second, None)[0]
    resumed_at = 5 if stop >= 5 else 0
    assert [step for step, _ in after] == list(range(resumed_at + 1, 11))
    assert [loss for _, loss in before] == expected[:stop]
    assert [loss for _, loss in after] == expected[resumed_at:]


_WHOLE: dict[str, list[float]] = {}


@pytest.mark.parametrize("stage", [0, 2, 3])
@pytest.mark.parametrize("options", [(), (LORA,)], ids=["full", "lora"])
def test_saved_encoder_equals_the_live_one(
    pools: dict[int, RankPool], run_file: Path, stage: int, options: tuple[str, ...]
) -> None:
    """An adapter saved empty under ZeRO-3, or merged into another base."""
    case = f"name=saved-{stage}-{len(options)}"
    options = tuple(option.replace("dropout: 0.1", "dropout: 0.0") for option in options)
    answers = pools[2].run("live_and_saved", str(run_file), overrides(stage, *options, case))
    found = answers[0]
    np.testing.assert_allclose(answers[1]["live"], found["live"], atol=1e-6)
    np.testing.assert_allclose(found["loaded"], found["live"], atol=1e-6)
    np.testing.assert_allclose(found["merged"], found["live"], atol=2e-6)
