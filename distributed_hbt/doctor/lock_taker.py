"""The other process of the check of locks: python -m distributed_hbt.doctor.lock_taker FILE."""

import sys
from pathlib import Path

from distributed_hbt.errors import ConfigError
from distributed_hbt.run_lock import hold


def main() -> None:
    """Write `taken` where the lock can be had at once, else `refused`."""
    try:
        with hold(Path(sys.argv[1]), "check"):
            print("taken")
    except ConfigError as error:
        print(f"refused: {error.what}")


if __name__ == "__main__":
    main()
