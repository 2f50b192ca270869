"""The finished file, read back as training reads it: no negative is a known positive.

It knows nothing of the search: the known positives are those of the file itself.
"""

from pathlib import Path

from distributed_hbt.errors import WorkerFailed
from distributed_hbt.mining.keys import passage_keys
from distributed_hbt.mining.known import KnownCollector
from distributed_hbt.mining.rows import read_kept


def verify(path: Path, num_rows: int) -> None:
    """Raises WorkerFailed for a row that breaks the promise, or where rows are missing; DataError for a row
    that training could not read."""
    collector = KnownCollector()
    found = 0
    for row in read_kept(path):
        collector.add(row)
        found += 1
    if found != num_rows:
        raise WorkerFailed(str(path), f"has {found} rows, not {num_rows}", "start again")
    known = collector.known()
    for row in read_kept(path):
        keys = known.of(row)
        for negative in row.negatives:
            if not keys.isdisjoint(passage_keys(negative)):
                what = f"negative {negative.docid!r} is a known positive of group {row.group_id!r}"
                raise WorkerFailed(row.where, what, "report this; the file was not put in place")
