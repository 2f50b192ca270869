"""What DeepSpeed compiles for a ZeRO configuration."""

from typing import Any

import pytest

from distributed_hbt.train.ops import compiled_ops, unbuildable
from distributed_hbt.train.zero import read_zero
from tests.programs import ROOT


@pytest.mark.parametrize(
    ("zero", "ops"),
    [
        ({"zero_optimization": {"stage": 2}}, ()),
        ({"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "none"}}}, ()),
        ({"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}, ("cpu_adam",)),
        (
            {
                "zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}},
                "zero_force_ds_cpu_optimizer": False,
            },
            (),
        ),
        (
            {"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "nvme"}}},
            ("cpu_adam", "async_io"),
        ),
        ({"zero_optimization": {"stage": 3, "offload_param": {"device": "nvme"}}}, ("async_io",)),
        ({"zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}}}, ()),
    ],
)
def test_offload_decides_what_is_compiled(zero: dict[str, Any], ops: tuple[str, ...]) -> None:
    """A compiler asked for where none is needed, or not missed where the run dies without it."""
    assert compiled_ops(zero) == ops


def test_shipped_configurations_compile_what_deepspeed_can_build() -> None:
    """An operation that was renamed in DeepSpeed."""
    for path in (ROOT / "ds_configs").glob("*.json"):
        assert unbuildable(compiled_ops(read_zero(str(path)))) == []
    assert unbuildable(["cpu_adam"]) == []
    assert unbuildable(["no_such_op"]) == ["no_such_op"]
