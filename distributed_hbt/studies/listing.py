"""The runs of a study, before or while they are trained."""

from typing import Any

from distributed_hbt.studies.plan import StudyPlan, is_finished


def plan_as_json(plan: StudyPlan) -> list[dict[str, Any]]:
    """One object a run, in the order in which they are trained."""
    return [
        {
            "run": run.config.name,
            "system": run.system,
            "seed": run.config.seed,
            "first": run in plan.first,
            "finished": is_finished(run.config),
        }
        for run in (*plan.first, *plan.runs)
    ]


def plan_as_text(plan: StudyPlan) -> str:
    """One line a run."""
    return "\n".join(
        f"{'finished' if run['finished'] else 'to do':9}{run['run']}{'  (first)' if run['first'] else ''}"
        for run in plan_as_json(plan)
    )
