"""A few of the kills of `make test-faults`."""

from pathlib import Path

from tests.faults.campaign import Campaign, Sizes
from tests.faults.kills import draw_case


def test_a_run_that_is_killed_again_and_again_leaves_what_the_undisturbed_one_does(tmp_path: Path) -> None:
    """Moments, dropout or the place in the data that a kill loses; a half written checkpoint, result or
    export that is taken for whole; what dead writers leave."""
    sizes = Sizes(max_steps=24, checkpoint_every=4, evaluate_every=12)
    shares = {"step": 1, "checkpoint": 1, "evaluation": 1, "export": 1}
    case = draw_case(3, True, 51, sizes.checkpoint_every, shares)
    suffered = Campaign(tmp_path, case, sizes).suffer()
    assert suffered.wrong == ()
    assert [hit.outcome for hit in suffered.hits[:2]] == ["killed", "killed"]
