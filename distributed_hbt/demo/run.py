"""The embedded default, end to end: three strategies trained, evaluated and set side by side."""

import logging
from pathlib import Path

from distributed_hbt.comparison.results import RunResult, read_evaluation, read_run
from distributed_hbt.config.load import load_run
from distributed_hbt.demo.sample.write import write_sample
from distributed_hbt.demo.strategies import STRATEGIES, write_run
from distributed_hbt.errors import ConfigError

_log = logging.getLogger(__name__)


def run_demo(out: Path) -> list[RunResult]:
    """Train and evaluate; an untrained encoder first. What is done already is not done again."""
    runs = [load_run(run_file) for run_file in _prepare(out)]
    from distributed_hbt.coordinator.submit import submit

    submit(runs)
    from distributed_hbt.demo.untrained import evaluate_untrained

    _log.info("evaluating an untrained encoder")
    evaluation = evaluate_untrained(runs[0], out / "stores", out / "untrained")
    return [read_evaluation(evaluation, "untrained"), *(read_run(run.run_dir) for run in runs)]


def _prepare(out: Path) -> list[Path]:
    """Write the sample and the run files. Raises ConfigError if `out` can not be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        sample = write_sample(out / "sample")
        (out / "zero2.json").write_text('{"zero_optimization": {"stage": 2}}\n', encoding="utf-8")
        return [write_run(strategy, out, sample) for strategy in STRATEGIES]
    except OSError as error:
        raise ConfigError(
            "--out", f"{out} can not be written ({error.strerror})", "choose another"
        ) from error
