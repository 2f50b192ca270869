"""Going on from the checkpoint that was chosen, by as many ranks as have written it or by others."""

import logging

from distributed_hbt.train.checkpoints.another_world import load_from_other_ranks
from distributed_hbt.train.checkpoints.choice import Chosen
from distributed_hbt.train.checkpoints.engine_files import ENGINE
from distributed_hbt.train.checkpoints.only_data import check_inside
from distributed_hbt.train.checkpoints.state import Saved, load_engine
from distributed_hbt.train.loop import Trainer

_log = logging.getLogger(__name__)


def resume(trainer: Trainer, chosen: Chosen | None, saved: Saved) -> int:
    """Load the chosen checkpoint, if any; the number of steps done. Every rank must call it.

    Raises CheckpointError where it can not be loaded.
    """
    if chosen is None:
        return 0
    check_inside(chosen.path / ENGINE, chosen.path.parents[1])
    found, session = chosen.state, trainer.session
    then, now = (found.world_size, found.zero_stage), (session.ranks.world_size, session.stage)
    if then == now or session.stage == 0:  # ZeRO-0 keeps all of it on every rank
        load_engine(trainer.engine, chosen.path, adapter=saved.adapter)
        _log.info("resumed from %s", chosen.path)
    else:
        load_from_other_ranks(
            trainer.engine, chosen.path, session.ranks, found_world_size=then[0], found_stage=then[1]
        )
        what = "resumed from %s, which %d ranks under ZeRO-%d wrote; these are %d under ZeRO-%d"
        _log.info(what, chosen.path, *then, *now)
    return found.step
