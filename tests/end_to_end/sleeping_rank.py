"""The training worker, whose last rank sleeps for ever in the forward of a step."""

import os
import sys
import time
from typing import Any

from distributed_hbt.cli import main

AWAKE = 6  # forwards


def put_to_sleep() -> None:
    from distributed_hbt.train.chunked import ChunkedEncoder

    forward, calls = ChunkedEncoder.forward, 0

    def sleeping(self: Any, chunks: Any) -> Any:
        nonlocal calls
        calls += 1
        while calls > AWAKE:
            time.sleep(1)
        return forward(self, chunks)

    ChunkedEncoder.forward = sleeping  # type: ignore[method-assign]


if __name__ == "__main__":
    if int(os.environ["RANK"]) == int(os.environ["WORLD_SIZE"]) - 1:
        put_to_sleep()
    sys.exit(main(["train", *sys.argv[1:]]))
