"""Which of several ranks' errors ends an attempt."""

import pickle

import pytest
from ray.exceptions import RayActorError
from ray.train import ControllerError, WorkerGroupError

from distributed_hbt.coordinator.failures import RankFailed, explain
from distributed_hbt.errors import CheckpointError, DataError

DIED = RuntimeError(
    "A worker health check failed.\nWorker info: Worker(metadata=ActorMetadata(\n node_id='ab',\n"
    " node_ip='10.0.0.7',\n pid=3,))\nThe actor died. Worker exit type: SYSTEM_ERROR Worker exit detail: "
    "Worker unexpectedly exits with a connection error code 2. End of file. (1) The process is killed."
)
LOST_CONNECTION = RankFailed("10.0.0.6", "RuntimeError: Connection closed by peer", "stack")


def failed(*errors: Exception | None) -> WorkerGroupError:
    return WorkerGroupError("text", {rank: e for rank, e in enumerate(errors) if e is not None})


def test_dead_rank_is_the_cause_of_the_others_errors() -> None:
    """Catches the rank that only lost its connection being named, or its error ending the run: a checkpoint
    that can not be loaded because a peer died is no broken checkpoint."""
    for collateral in (LOST_CONNECTION, CheckpointError("step-3", "can not be loaded", "remove it")):
        found = explain(failed(collateral, DIED))
        assert str(found) == "rank 1 on 10.0.0.7: the process was killed or crashed (out of memory?)"


def test_error_for_the_user_is_raised_as_it_is() -> None:
    """Catches a data error that is tried again, or reported as the failure of a rank."""
    error = DataError("train.jsonl:3", "has no query", "add one")
    with pytest.raises(DataError, match=r"train.jsonl:3: has no query; add one"):
        explain(failed(LOST_CONNECTION, error))


def test_other_exception_names_rank_and_node() -> None:
    """Catches an error without its place."""
    assert str(explain(failed(None, LOST_CONNECTION))) == (
        "rank 1 on 10.0.0.6: RuntimeError: Connection closed by peer"
    )


def test_lost_node_and_silent_rank_are_told_apart() -> None:
    """Catches a node's death that is called a crash of the run's own process."""
    node = RuntimeError("node_ip='10.0.0.7' The actor died because its node has died. Node Id: 1")
    assert str(explain(failed(None, node, node))) == "ranks 1, 2 on 10.0.0.7: the node died"
    silent = RuntimeError("A worker health check has been hanging for 9 seconds. node_ip='10.0.0.8'")
    assert str(explain(failed(silent))) == "rank 0 on 10.0.0.8: does not answer any more"


def test_error_before_the_ranks_began_and_dead_controller_are_told_apart() -> None:
    """Catches a failed start without its cause, and Ray Train's own process taken for a rank."""
    assert str(explain(ControllerError(ValueError("no such port")))) == "Ray Train: ValueError: no such port"
    assert explain(RayActorError()).where == "the controller of Ray Train"


def test_rank_s_error_survives_pickling_whatever_it_was() -> None:
    """Catches an exception that can not be sent, of which nothing arrives."""

    class UnpicklableError(Exception):
        def __init__(self) -> None:
            super().__init__("two\nlines", lambda: None)

    try:
        raise UnpicklableError
    except UnpicklableError as error:
        sent = RankFailed.of(error, "10.0.0.6")
    arrived = pickle.loads(pickle.dumps(sent))
    assert arrived.text.startswith("UnpicklableError: ('two\\nlines', <function")
    assert "raise UnpicklableError" in arrived.trace
