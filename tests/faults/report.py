"""The kills of several runs as a table."""

from collections import defaultdict
from collections.abc import Sequence

from tests.faults.campaign import Hit
from tests.faults.kills import SHARES

_HEAD = ("phase", "kills", "one rank", "all", "half a write left", "steps done again", "too late")


def table(hits: Sequence[Hit]) -> str:
    """Markdown: a line a phase."""
    of_phase: defaultdict[str, list[Hit]] = defaultdict(list)
    for hit in hits:
        of_phase[hit.phase].append(hit)
    lines = [_line(_HEAD), _line(["---"] * len(_HEAD))]
    lines += [_line(_cells(phase, of_phase[phase])) for phase in SHARES if of_phase[phase]]
    return "\n".join([*lines, _line(_cells("all", hits))])


def _cells(phase: str, hits: Sequence[Hit]) -> list[str]:
    killed = [hit for hit in hits if hit.outcome == "killed"]
    alone = sum(hit.victim != "all" for hit in killed)
    lost = sorted(hit.lost for hit in killed if hit.lost is not None)
    again = f"{lost[len(lost) // 2]} ({lost[0]} to {lost[-1]})" if lost else "none"
    inside = str(sum(hit.inside for hit in killed))
    late = str(len(hits) - len(killed))
    return [phase, str(len(killed)), str(alone), str(len(killed) - alone), inside, again, late]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
