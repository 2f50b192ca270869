"""What looks for faults while steps are done."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.store import Store
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.engine import Session
from distributed_hbt.train.guards.divergence import RankComparison
from distributed_hbt.train.guards.finite import SkippedSteps
from distributed_hbt.train.guards.watchdog import Watchdog
from distributed_hbt.train.inputs import InputMaker


class Watched(Protocol):
    """What is looked at, of a Trainer."""

    @property
    def session(self) -> Session: ...

    @property
    def engine(self) -> Any: ...

    @property
    def inputs(self) -> InputMaker: ...


@dataclass(frozen=True)
class Guards:
    """Of one rank."""

    skipped: SkippedSteps
    comparison: RankComparison
    watchdog: Watchdog


def build_guards(
    config: RunConfig,
    watched: Watched,
    directory: RunDirectory,
    store: Store,
    *,
    skipped: int,
    give_up: Callable[[], None] | None,
) -> Guards:
    """As the configuration asks for them. `skipped`: steps before; for `give_up` see Watchdog."""
    session, train, batches = watched.session, config.train, watched.inputs.batches
    ranks, limit = session.ranks, config.cluster.step_timeout_seconds
    return Guards(
        SkippedSteps(train.max_skipped_steps, directory.skipped, store, ranks.is_first, skipped),
        RankComparison(session, watched.engine, train.compare_ranks_every),
        Watchdog(ranks, directory, limit, lambda: batches.rows_looked_at, give_up),
    )
