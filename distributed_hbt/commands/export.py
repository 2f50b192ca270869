"""hbt export CHECKPOINT --out DIR [--format sentence-transformers|hf] [--merge-lora] [--register NAME]"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from distributed_hbt.errors import ConfigError

if TYPE_CHECKING:
    from distributed_hbt.run_directory import RunDirectory
    from distributed_hbt.tracking.register import Registry

FORMATS = ("sentence-transformers", "hf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="a step folder, or an encoder's")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new, or empty")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    parser.add_argument(
        "--merge-lora", action="store_true", help="add an adapter to the weights that it stands on"
    )
    parser.add_argument("--register", metavar="NAME", help="also as the next version of this MLflow model")
    parser.add_argument("--tracking-uri", metavar="URI", help="of that MLflow store; default: the run's")


def run(options: argparse.Namespace) -> int:
    from distributed_hbt.evaluation.encoder_choice import encoder_folder
    from distributed_hbt.export.export import check_out, export_encoder
    from distributed_hbt.export.provenance import run_around, step_of

    if options.tracking_uri and not options.register:
        raise ConfigError("--tracking-uri", "says where to register, and nothing is", "give --register NAME")
    check_out(options.out)
    encoder = encoder_folder(options.checkpoint)
    around = run_around(encoder)
    registry = _registry(options, around) if options.register else None
    out = export_encoder(
        options.checkpoint, options.out, format=options.format, merge_lora=options.merge_lora
    )
    print(out)
    if registry is not None:
        print(registry.register(out, step=step_of(encoder)))
    return 0


def _registry(options: argparse.Namespace, around: "RunDirectory | None") -> "Registry":
    from distributed_hbt.tracking.register import open_registry

    return open_registry(options.register, options.tracking_uri, around)
