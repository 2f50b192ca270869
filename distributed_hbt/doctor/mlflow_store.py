"""MLflow: does the store answer, and does it take a run."""

import json
from pathlib import Path

from distributed_hbt.doctor.child import NoAnswer, answer, start
from distributed_hbt.doctor.finding import Finding, Subject

_CHECK = "mlflow"
SECONDS = 180.0
"""Importing MLflow, making the tables of a database on a slow disk, and a server's patience."""


def check(subject: Subject) -> list[Finding]:
    """The run's store, where a test run is written and taken away again. Without a run, or where its database
    file is still to be made, one is made in a temporary folder beside where it would be."""
    from distributed_hbt.masking import masked

    run = subject.run
    uri = run.tracking.uri if run else None
    process = start("distributed_hbt.tracking.probe", environment={"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"})
    given = {
        "uri": uri,
        "experiment": run.tracking.experiment if run else "distributed_hbt",
        "output_dir": str(Path(run.output_dir).absolute()) if run else None,
        "folder": str(subject.folder),
    }
    try:
        content = json.loads(answer(process, SECONDS, json.dumps(given)).splitlines()[-1])
    except NoAnswer as error:
        place = masked(uri) if uri else f"a database file in {subject.folder}"
        remedy = "check that the server of tracking.uri answers (its /health), or leave tracking.uri out"
        return [Finding(_CHECK, "failure", f"{place}: {error}", remedy)]
    return [Finding(_CHECK, content["status"], content["text"], content["remedy"])]
