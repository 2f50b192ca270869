"""Which part of the project may import what."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "distributed_hbt"

ALLOWED = {
    "ray": {"coordinator"},
    "deepspeed": {"train"},
    "accelerate": {"train"},
    "mlflow": {"tracking"},
    "matplotlib": {"comparison", "planner", "studies"},
    "jinja2": {"comparison"},
    "simpy": {"simulation"},
}

# Data flows one way: a part may import those that stand before it in its list.
MAY_IMPORT = {
    "config": {"errors", "languages", "masking"},
    "losses": set(),
    "distributed": {"errors"},
    "models": {"checkpoint_marker", "config", "errors"},
    "data": {"config", "errors", "languages", "models", "losses"},
    "evaluation": {"aside", "checkpoint_marker", "config", "data", "errors", "models", "read_ahead"},
    "mining": {"config", "data", "errors", "evaluation", "languages", "models"},
    "export": {
        *("aside", "comparison", "config", "data", "errors", "evaluation", "languages", "models"),
        *("run_directory", "tracked_run", "tracking"),
    },
    "tracking": {"aside", "config", "errors", "masking", "models", "run_directory", "tracked_run"},
    "remote": {"checkpoint_marker", "config", "errors", "masking", "run_directory", "run_lock", "tracking"},
    "lineage": {"config", "data", "tracking"},
    "comparison": {"aside", "config", "errors", "run_directory", "tracked_run"},
    "planner": {"comparison", "config", "data", "errors", "models", "train"},
    "studies": {"comparison", "config", "coordinator", "errors", "run_directory", "tracking"},
    "train": {
        *("checkpoint_marker", "cli", "config", "data", "distributed", "errors", "losses", "models"),
        *("read_ahead", "run_directory", "start_times", "stop_signals"),
    },
    "doctor": {
        *("config", "coordinator", "data", "distributed", "errors", "masking", "models", "pipeline"),
        *("planner", "run_directory", "run_lock", "tracking", "train"),
    },
    "simulation": {"data"},
    "pipeline": {
        *("config", "distributed", "errors", "evaluation", "lineage", "remote", "run_directory", "run_lock"),
        *("start_times", "step_log", "stop_signals", "tracking", "train"),
    },
}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_import_boundaries_hold(path: Path) -> None:
    """A worker that knows Ray; a loss that looks up its rank; MLflow in the loop."""
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for line, module in imported(path):
        top, _, rest = module.partition(".")
        assert part in ALLOWED.get(top, {part}), f"{path}:{line} imports {module}"
        if top == "distributed_hbt" and part in MAY_IMPORT and rest:
            target = rest.partition(".")[0]
            assert target == part or target in MAY_IMPORT[part], f"{path}:{line} imports {module}"


@pytest.mark.parametrize(
    "module",
    [
        *(
            "checkpoint_marker",
            "cli",
            "commands.train",
            "commands.submit",
            "commands.stop",
            "commands.doctor",
            "config.load",
        ),
        *("coordinator.submit", "coordinator.stop", "pipeline"),
        *("aside", "run_directory", "run_lock", "stop_signals"),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(module: str) -> None:
    """hbt --help, or a configuration error, that first waits for torch."""
    code = f"""
import sys, distributed_hbt.{module}
heavy = {{"torch", "transformers", "deepspeed", "accelerate", "mlflow", "ray", "datasets", "numpy", "pandas"}}
print(",".join(sorted(heavy & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
