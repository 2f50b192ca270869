"""All rules over all overlays."""

from collections.abc import Iterator

from k8s.check.finding import Finding
from k8s.check.job_rules import JOB_RULES
from k8s.check.kueue_rules import KUEUE_RULES, admitted_by_kueue
from k8s.check.manifests import Manifests, Rule
from k8s.check.mlflow_rules import MLFLOW_RULES, runs_reach_mlflow
from k8s.check.overlays import Rendered
from k8s.check.pod_rules import POD_RULES, claims_are_there
from k8s.check.run_rules import RUN_RULES
from k8s.check.schemas import FORM, check_schemas
from k8s.check.security_rules import SECURITY_RULES
from k8s.check.stop_rules import STOP_RULES

RULES: tuple[Rule, ...] = (
    *(*JOB_RULES, *POD_RULES, *SECURITY_RULES, *RUN_RULES, *STOP_RULES),
    *(*MLFLOW_RULES, *KUEUE_RULES),
)
"""They take for granted that objects have the form of their schemas."""


def check(manifests: Manifests) -> list[Finding]:
    """What is wrong with one overlay by itself: with the form of its objects, else with what they say."""
    of_form = sorted(set(check_schemas(manifests)))
    return of_form or sorted({finding for rule in RULES for finding in rule(manifests)})


def check_job(manifests: Manifests, beside: Rendered) -> list[Finding]:
    """What is wrong with an overlay that has a RayJob, also together with what runs beside it."""
    alone = check(manifests)
    if any(finding.rule == FORM for finding in alone):
        return alone
    return sorted({*alone, *_together(manifests, beside)})


def check_all(rendered: Rendered) -> list[Finding]:
    """What is wrong with everything that is shipped."""
    found = [finding for manifests in rendered.beside for finding in check(manifests)]
    return found + [finding for job in rendered.jobs for finding in check_job(job, rendered)]


def _together(manifests: Manifests, beside: Rendered) -> Iterator[Finding]:
    for mlflow in beside.mlflow:
        yield from runs_reach_mlflow(manifests, mlflow)
    yield from admitted_by_kueue(manifests, beside.admin)
    yield from claims_are_there(manifests, beside.volume)
