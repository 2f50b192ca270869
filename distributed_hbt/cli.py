"""The `hbt` command: find the subcommand, run it, turn errors into one line and an exit code.

Nothing heavy is imported before a command needs it.
"""

import argparse
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from distributed_hbt.errors import ConfigError, HbtError, terminal_line
from distributed_hbt.masking import MaskedLines, masked
from distributed_hbt.resource_errors import resource_failure

COMMANDS = {
    "demo": "the embedded default, end to end: three strategies compared",
    "train": "train here; under accelerate launch or torchrun as one rank",
    "submit": "the Ray coordinator: training ranks and an evaluation pool, here or on a cluster",
    "stop": "let a submitted run write a checkpoint and end, from any machine that shares its directory",
    "evaluate": "evaluate a checkpoint on the run's benchmarks",
    "mine": "hard negatives for training, through the same encoding and search",
    "score": "measures of any TREC run",
    "compare": "runs side by side, with tests and a report",
    "study": "a matrix of runs that answers one question",
    "export": "a checkpoint as a folder of sentence-transformers or transformers",
    "plan": "memory, time and cost of a run on a cluster; no GPU needed",
    "data": "what would be trained on: check, convert",
    "doctor": "what this machine and cluster can do, and whether a run would work on them",
    "show-config": "the resolved configuration",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError("command line", message, f"see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 done, 1 the run failed, 2 usage, configuration or data error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        return _run([a for a in given if a != "--debug"], debug)
    except HbtError as error:
        error = resource_failure(error) or error
        return _fail(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        return _fail("interrupted: stopped by the user; start again to resume", 1, debug)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        failure = resource_failure(error)
        if failure is not None:
            return _fail(str(failure), failure.exit_code, debug)
        text = f"{type(error).__name__}: {error}"
        return _fail(f"unexpected: {text}; run again with --debug for the traceback", 1, debug)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """What a command line asks for; `run` of it runs it. Raises ConfigError for a wrong one."""
    parser = _Parser(
        prog="hbt",
        description="Train, evaluate and compare multilingual dense retrievers on hybrid batches.",
        epilog="--debug, anywhere, shows the traceback of an error, and the log in detail.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    chosen = next((a for a in arguments if not a.startswith("-")), None)
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name == chosen:
            module = importlib.import_module(f"distributed_hbt.commands.{name.replace('-', '_')}")
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    options, rest = parser.parse_known_args(arguments)
    _take_overrides(options, rest)
    return options


def _run(arguments: list[str], debug: bool) -> int:
    options = parse(arguments)
    if options.version:
        from distributed_hbt import __version__

        print(__version__)
        return 0
    if options.command is None:
        raise ConfigError("command line", "no command is given", "see hbt --help")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskedLines("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    first = os.environ.get("RANK", "0") == "0"
    level = logging.DEBUG if debug else logging.INFO if first else logging.WARNING
    logging.getLogger("distributed_hbt").setLevel(level)
    result: int = options.run(options)
    return result


def _take_overrides(options: argparse.Namespace, rest: Sequence[str]) -> None:
    """`key=value` may stand anywhere behind the run file; anything else left over is a mistake."""
    overrides = getattr(options, "overrides", None)
    for argument in rest:
        if overrides is None or argument.startswith("-") or "=" not in argument:
            raise ConfigError("command line", f"unknown argument {argument}", "see --help of the command")
        overrides.append(argument)


def _fail(message: str, exit_code: int, debug: bool) -> int:
    if debug:
        print(masked(traceback.format_exc()), file=sys.stderr, end="")
    rank = os.environ.get("RANK", "0")
    of_rank = "" if rank == "0" else f" (rank {rank})"
    print(f"hbt: error{of_rank}: {terminal_line(message)}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
