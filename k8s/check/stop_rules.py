"""That SIGTERM ends in a checkpoint: the hook before it, and enough time for both."""

from collections.abc import Iterator, Sequence

import yaml

from k8s.check.finding import Finding
from k8s.check.manifests import Manifests, Object, Pod, Rule
from k8s.check.run import Run, mounted_files, run_of, variables
from k8s.check.shell_words import shell_words


def stops_in_good_order(manifests: Manifests) -> Iterator[Finding]:
    """A training is asked to stop before any of its pods goes. An evaluation has nothing to save: its hook
    could only stop a training of the same name."""
    for job in manifests.of_kind("RayJob"):
        head = next((pod for pod in manifests.pods if pod.is_head), None)
        try:
            run = None if head is None else run_of(manifests, job, head)
        except ValueError:
            run = None  # the rules of the run say so
        if run is None:
            continue
        for pod in manifests.pods:
            if pod.start is not None:
                yield from _hook(manifests, run, pod)
        if run.command == "submit":
            yield from _times(manifests, job, run)


def _hook(manifests: Manifests, run: Run, pod: Pod) -> Iterator[Finding]:
    path = f"{pod.path}.spec.containers[0].lifecycle.preStop"
    hook = pod.main.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
    if run.command != "submit":
        if hook is not None:
            what = "would stop a training of the same name"
            yield manifests.finding("pre-stop", pod.of, path, what, "leave it out")
        return
    remedy = "run hbt stop there with the arguments of the entrypoint"
    if hook is None or hook[:2] != ["/bin/sh", "-c"]:
        what = "SIGTERM ends Ray at once, before a checkpoint"
        yield manifests.finding("pre-stop", pod.of, path, what, remedy)
        return
    try:
        words = shell_words(hook[2], mounted_files(manifests, pod), variables(pod))
    except ValueError as error:
        yield manifests.finding("pre-stop", pod.of, path, str(error), remedy)
        return
    asked = words[2:] if words[:1] == ["exec"] else words[1:]
    wanted = ["stop", *_without_address(run.words[2:])]
    if asked != wanted:
        what = f"runs hbt {' '.join(asked)}, the entrypoint's run is {' '.join(wanted[1:])}"
        yield manifests.finding("pre-stop", pod.of, path, what, remedy)
    if not any(word.startswith("cluster.name=") for word in asked):
        what = "would also stop the run where the next attempt goes on"
        yield manifests.finding("pre-stop", pod.of, path, what, "add cluster.name=$RAY_CLUSTER_NAME")


def _without_address(words: Sequence[str]) -> list[str]:
    at = words.index("--address") if "--address" in words else len(words)
    return [*words[:at], *words[at + 2 :]]


def _times(manifests: Manifests, job: Object, run: Run) -> Iterator[Finding]:
    grace = run.config.cluster.grace_seconds
    wait = _stop_wait(job)
    if wait is None:
        return  # no such YAML: another rule says so
    if wait <= grace:
        what = f"ray job stop kills after {wait} s, and cluster.grace_seconds is {grace}"
        remedy = "set RAY_JOB_STOP_WAIT_TIME_S above it"
        yield manifests.finding("grace", job, "spec.runtimeEnvYAML", what, remedy)
    for pod in manifests.pods:
        if pod.start is None:
            continue
        period = pod.spec.get("terminationGracePeriodSeconds", 30)
        if period <= max(grace, wait):
            what = (
                f"{period} s are not above cluster.grace_seconds ({grace}) and ray job stop's wait ({wait})"
            )
            path = f"{pod.path}.spec.terminationGracePeriodSeconds"
            yield manifests.finding("grace", pod.of, path, what, "raise it")


def _stop_wait(job: Object) -> int | None:
    """Seconds; Ray's own are 3. None where the environment can not be read."""
    try:
        content = yaml.safe_load(job["spec"].get("runtimeEnvYAML") or "{}")
        return int(content.get("env_vars", {}).get("RAY_JOB_STOP_WAIT_TIME_S", 3))
    except (yaml.YAMLError, AttributeError, ValueError):
        return None


STOP_RULES: tuple[Rule, ...] = (stops_in_good_order,)
