"""accelerate launch -m distributed_hbt.train RUN.yaml [key=value ...]"""

import sys

from distributed_hbt.cli import main

sys.exit(main(["train", *sys.argv[1:]]))
