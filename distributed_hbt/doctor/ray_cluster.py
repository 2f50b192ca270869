"""Ray: does it answer, and could its nodes hold the run."""

import json
from collections.abc import Mapping
from typing import Any

from distributed_hbt.coordinator.capacity import (
    Node,
    amounts,
    check_capacity,
    listing,
    sentence,
    shares_at_once,
)
from distributed_hbt.doctor.child import NoAnswer, answer, start
from distributed_hbt.doctor.finding import Finding, Subject, failed
from distributed_hbt.errors import ConfigError
from distributed_hbt.pipeline import due_steps

_CHECK = "ray"
SECONDS = 120.0
"""A start of Ray on a busy machine, or a connection."""


def check(subject: Subject) -> list[Finding]:
    """The cluster at the address; without one, Ray is started on this machine, as `hbt submit` does."""
    asked = [subject.address] if subject.address else []
    where = f"Ray at {subject.address}" if subject.address else "Ray on this machine"
    process = start("distributed_hbt.coordinator.probe", asked)
    try:
        content = json.loads(answer(process, SECONDS).splitlines()[-1])
    except NoAnswer as error:
        remedy = "look at `ray status` and the head's log, check RAY_AUTH_TOKEN, firewall and address"
        return [Finding(_CHECK, "failure", f"{where}: {error}", remedy)]
    if "what" in content:
        return [failed(_CHECK, ConfigError(content["where"], content["what"], content["remedy"]))]
    return against_run(subject, where, content)


def against_run(subject: Subject, where: str, content: Mapping[str, Any]) -> list[Finding]:
    """What the probe answered, held against the run."""
    nodes = [Node(node["cpus"], node["gpus"]) for node in content["nodes"]]
    what = f"{where} (version {content['ray']}) has {listing(nodes)}"
    run = subject.run
    if run is None:
        return [Finding(_CHECK, "ok", what)]
    evaluates = bool(due_steps(run))
    try:
        check_capacity(run.cluster, nodes, evaluates=evaluates)
    except ConfigError as error:
        return [failed(_CHECK, error)]
    shares = shares_at_once(run.cluster, evaluates=evaluates)
    what += f", the run takes {sentence(shares)}"
    cpus, gpus = (sum(s.count * getattr(s, kind) for s in shares) for kind in ("cpus", "gpus"))
    free = content["free"]
    if free["cpus"] < cpus or free["gpus"] < gpus:
        there = amounts(free["cpus"], free["gpus"])
        remedy = f"wait, or free some; the run itself waits for {run.cluster.wait_seconds} s"
        return [Finding(_CHECK, "warning", f"{what}, and {there} are free now", remedy)]
    return [Finding(_CHECK, "ok", what)]
