"""The next item is made in a side thread while the present one is used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items in the same order; at most two of them are alive: one in use, one ahead.

    What `items` raises comes out here as it is, after the items before it. The thread ends with the
    iterator, also where its user stops early (it then finishes the item that it is making).
    """
    end = object()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]
