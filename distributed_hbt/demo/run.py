"""The embedded default, end to end: three strategies trained, evaluated and compared, over several seeds."""

import logging
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from distributed_hbt.comparison.comparison import Comparison
from distributed_hbt.comparison.report.write import ReportFiles, write_report
from distributed_hbt.comparison.results import read_evaluation, read_run
from distributed_hbt.config.load import load_run
from distributed_hbt.demo.sample.write import write_sample
from distributed_hbt.demo.strategies import SEEDS, STRATEGIES, write_run
from distributed_hbt.errors import ConfigError
from distributed_hbt.tracking.mlflow_store import default_uri
from distributed_hbt.tracking.parent import log_comparison

_LEAD = (
    "A tiny decoder from random weights on the facts that the package carries, evaluated on facts that it "
    "has not seen: batches of one language (x_x_mono), of mixed pairs of languages (x_y), and hybrid batches."
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo ends with."""

    comparison: Comparison
    report: ReportFiles


def run_demo(out: Path) -> DemoResult:
    """Train, evaluate and compare; an untrained encoder first. What is done already is not done again."""
    runs = [load_run(run_file) for run_file in _prepare(out)]
    from distributed_hbt.coordinator.submit import submit

    submit(runs)
    from distributed_hbt.comparison.compare import compare
    from distributed_hbt.demo.untrained import evaluate_untrained

    _log.info("evaluating an untrained encoder")
    evaluation = evaluate_untrained(runs[0], out / "stores", out / "untrained")
    systems = {"untrained": [read_evaluation(evaluation, "untrained")]}
    for strategy in STRATEGIES:
        systems[strategy] = [read_run(run.run_dir) for run in runs if run.sampling.strategy == strategy]
    _log.info("comparing")
    comparison = compare(systems)
    report = write_report(comparison, out / "report", title="distributed_hbt demo", lead=_LEAD)
    log_comparison(default_uri(out), runs[0].tracking.experiment, "comparison", out / "report")
    return DemoResult(comparison, report)


def _prepare(out: Path) -> list[Path]:
    """Write the sample and the run files. Raises ConfigError if `out` can not be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        sample = write_sample(out / "sample")
        (out / "zero2.json").write_text('{"zero_optimization": {"stage": 2}}\n', encoding="utf-8")
        return [write_run(strategy, seed, out, sample) for seed, strategy in product(SEEDS, STRATEGIES)]
    except OSError as error:
        raise ConfigError(
            "--out", f"{out} can not be written ({error.strerror})", "choose another"
        ) from error
