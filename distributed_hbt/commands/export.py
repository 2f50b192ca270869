"""hbt export CHECKPOINT --out DIR [--format sentence-transformers|hf] [--merge-lora]"""

import argparse
from pathlib import Path

FORMATS = ("sentence-transformers", "hf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="a step folder, or an encoder's")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new, or empty")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    parser.add_argument(
        "--merge-lora", action="store_true", help="add an adapter to the weights that it stands on"
    )


def run(options: argparse.Namespace) -> int:
    from distributed_hbt.export.export import export_encoder

    out = export_encoder(
        options.checkpoint, options.out, format=options.format, merge_lora=options.merge_lora
    )
    print(out)
    return 0
