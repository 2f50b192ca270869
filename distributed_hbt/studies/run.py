"""A study from its runs to its report; what is finished is not done again."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.comparison.compare import compare
from distributed_hbt.comparison.comparison import Comparison
from distributed_hbt.comparison.report.content import Section
from distributed_hbt.comparison.report.write import ReportFiles, write_report
from distributed_hbt.comparison.results import read_run
from distributed_hbt.comparison.tables import row_name
from distributed_hbt.config.run import RunConfig
from distributed_hbt.config.study import StudyConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.studies.answer import Curves, answer_of, limits_of
from distributed_hbt.studies.costs import costs_of
from distributed_hbt.studies.curve import Point, fit_curve
from distributed_hbt.studies.curve_plot import curve_plot
from distributed_hbt.studies.loss import losses_of
from distributed_hbt.studies.plan import PlannedRun, StudyPlan, is_finished
from distributed_hbt.tracking.base import Status
from distributed_hbt.tracking.mlflow_store import default_uri
from distributed_hbt.tracking.parent import KIND, PARENT, ParentRun, open_parent

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What a finished study leaves: the sections that answer, the comparison and the files of the report."""

    sections: tuple[Section, ...]
    comparison: Comparison
    report: ReportFiles


def run_study(study: StudyConfig, plan: StudyPlan, address: str | None = None) -> StudyResult:
    """Train and evaluate what is missing, compare, write the report, log all of it below one MLflow run.

    Raises HbtError; what was finished before stays, and the same command goes on from there.
    """
    folder = Path(study.output_dir).absolute() / study.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            "output_dir", f"{folder} can not be written ({error.strerror})", "choose another"
        ) from error
    parent = _open_parent(study, plan, folder)
    status: Status = "FAILED"
    try:
        for runs in (plan.first, plan.runs):
            _train(study, runs, parent, address)
        result = _report(study, plan, folder / "report")
        parent.log_report(folder / "report")
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        parent.finish(status)
    return result


def _open_parent(study: StudyConfig, plan: StudyPlan, folder: Path) -> ParentRun:
    uri = plan.runs[0].config.tracking.uri or default_uri(folder)
    tags = {KIND: "study", "study": study.name, "question": study.question, "seeds": str(list(study.seeds))}
    return open_parent(uri, study.name, folder / "mlartifacts", study.name, folder, tags)


def _train(study: StudyConfig, runs: Sequence[PlannedRun], parent: ParentRun, address: str | None) -> None:
    missing = [run for run in runs if not is_finished(run.config)]
    if len(missing) < len(runs):
        _log.info("%s: %d of %d runs are finished already", study.name, len(runs) - len(missing), len(runs))
    if not missing:
        return
    from distributed_hbt.coordinator.submit import submit

    submit([_tracked(study, run, parent) for run in missing], address, runs_at_once=study.runs_at_once)


def _tracked(study: StudyConfig, run: PlannedRun, parent: ParentRun) -> RunConfig:
    """As a child of the study's run, in the same store."""
    tracking = run.config.tracking
    tags = {**tracking.tags, PARENT: parent.run_id, "study": study.name, "system_name": run.system}
    update = {"uri": parent.uri, "tags": tags}
    return run.config.model_copy(update={"tracking": tracking.model_copy(update=update)})


def _report(study: StudyConfig, plan: StudyPlan, folder: Path) -> StudyResult:
    systems = {
        system: [read_run(run.config.run_dir) for run in plan.of_system(system)] for system in plan.systems
    }
    measures = [_group_and_measure(name) for name in study.measures]
    comparison = compare(systems, baseline=study.baseline, pairs=study.pairs, measures=measures)
    _check_measures(study, comparison)
    curves, curve_section = _curves(study, plan, comparison)
    sections = (
        answer_of(study, comparison, curves),
        *curve_section,
        losses_of(plan, comparison.training, _numbered(study)),
        costs_of(systems),
        limits_of(study, comparison),
    )
    report = write_report(
        comparison, folder, title=f"Study: {study.name}", lead=study.question, sections=sections
    )
    return StudyResult(sections, comparison, report)


def _group_and_measure(name: str) -> tuple[str, str]:
    group, _, measure = name.partition(":")
    return group, measure


def _check_measures(study: StudyConfig, comparison: Comparison) -> None:
    measured = {f"{row.group}:{row.measure}" for one in comparison.benchmarks for row in one.summary}
    for name in (*study.measures, *(study.curve.measures if study.curve else ())):
        if name not in measured:
            what = f"{name} is no measure of the benchmarks that were run"
            raise ConfigError("measures", what, f"choose from {', '.join(sorted(measured))}")


def _curves(
    study: StudyConfig, plan: StudyPlan, comparison: Comparison
) -> tuple[Curves, tuple[Section, ...]]:
    if study.curve is None:
        return {}, ()
    axis = _numbered(study)
    assert axis is not None, "a curve has one numbered axis"
    curves: Curves = {}
    plots = []
    for benchmark in comparison.benchmarks:
        for row in benchmark.summary:
            measure = f"{row.group}:{row.measure}"
            if measure not in study.curve.measures:
                continue
            for group, points in _points(plan, {name: f.of_seeds for name, f in row.figures.items()}).items():
                curve = fit_curve(points, study.curve.fit)
                curves[benchmark.benchmark, group, measure] = curve
                title = " ".join(part for part in (benchmark.benchmark, group, row_name(row)) if part)
                logarithmic = study.curve.fit != "quadratic"
                plots.append(curve_plot(title, axis, row_name(row), points, curve, logarithmic=logarithmic))
    return curves, (Section(heading="Curves", plots=tuple(plots)),)


def _numbered(study: StudyConfig) -> str | None:
    """What the numbered axis counts, where there is one."""
    numbers = [axis.number for axis in study.vary.values() if axis.number is not None]
    return numbers[0] if len(numbers) == 1 else None


def _points(plan: StudyPlan, of_seeds: Mapping[str, tuple[float, ...]]) -> dict[str, list[Point]]:
    """The other values of the matrix -> the points along the numbered axis."""
    groups: dict[str, list[Point]] = {}
    for system, values in of_seeds.items():
        run = plan.of_system(system)[0]
        assert run.number is not None, "a curve has one numbered axis"
        groups.setdefault(run.group, []).append(Point(run.number, values))
    return {group: sorted(points, key=lambda point: point.x) for group, points in groups.items()}
