"""A share of a source's groups, the same wherever and in whatever order the rows are read."""

from collections.abc import Iterator
from hashlib import blake2b

from distributed_hbt.data.example import BadRow, Example


def of_share(rows: Iterator[Example | BadRow], share: float) -> Iterator[Example | BadRow]:
    """The rows of the groups whose keyed hash lies below `share`, so that a smaller one is part of a larger.

    A group id decides alone: sources that share ids (the languages of SQuAD-style data) keep the same groups.
    Bad rows have no group; as many are kept by their number, so that their share stays what it is.
    """
    if share == 1:
        yield from rows
        return
    bad = 0
    for row in rows:
        if isinstance(row, Example):
            place = f"group:{row.group_id}"
        else:
            bad += 1
            place = f"bad row:{bad}"
        if _place(place) < share:
            yield row


def _place(name: str) -> float:
    """In [0, 1)."""
    hashed = blake2b(name.encode(), digest_size=8, key=b"share of groups")
    return int.from_bytes(hashed.digest(), "little") / 2**64
