"""Training steps of 0.6B, 4B and 8B decoders on one NVIDIA GPU: tokens a second, MFU, peak memory.

python -m benchmarks.gpu [--sizes 0.6B,4B] [--tuning lora,full] [--gradients plain,cached] [--rows 256]
    [--layouts padded,sdpa,torch_varlen,flash_attention_2,sentence-transformers] [--passages 256,512]
    [--seconds 20] [--minutes 10]

From the repository's root. Each case is a process of its own: randomly initialised weights in bfloat16, the
product's own step (ZeRO-1 engine, AdamW with float32 masters) on random tokens, queries of at most 64 tokens
and passages of 256 or 512, whose lengths are drawn from the quantiles of XQuAD-R's questions and paragraphs.
`padded` pads every chunk to its longest text; `sdpa`, `torch_varlen` and `flash_attention_2` are the kernels
of model.padding_free. Plain gradients recompute activations where they would not fit. sentence-transformers
gets the same backbone with bfloat16 weights and AdamW on them, without masters, and its texts padded for
nothing; its padding is that of its whole columns, which it may cut off in mini-batches.

MFU counts real tokens and what a step needs (`gpu_arithmetic.training_flops`), not what is computed again.
Cases that would not fit, and those for which --minutes leave no time, are named below the table.
"""

import argparse
import importlib.util
import itertools
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

from benchmarks.gpu_arithmetic import SHAPES, peak_teraflops
from benchmarks.gpu_cases import HEADER, LAYOUTS, PEER, ROOT, Case, Cut, Measured, cut_to_fit, row

NEEDS = {"flash_attention_2": "flash_attn", PEER: "sentence_transformers"}
"""Layout -> the package that it needs."""

START = 60.0
"""Seconds that a case takes until its first step, at least."""


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """In the order of the table."""
    chosen = (options.sizes, options.tuning, options.passages, options.gradients, options.layouts)
    for size, tuning, passages, gradient, layout in itertools.product(*chosen):
        yield Case(size, tuning, gradient, layout, int(passages), options.rows, options.seconds)


def why_not(case: Case) -> str | None:
    """What is missing for a case, whatever the memory."""
    package = NEEDS.get(case.layout)
    if package is not None and importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    return None


def in_process(case: Case, cut: Cut, limit: float) -> Measured | str:
    """The case in a process of its own, which ends after `limit` seconds; or why there is no result."""
    content = json.dumps({"case": asdict(case), "cut": asdict(cut)})
    command = [sys.executable, "-m", "benchmarks.gpu", "--case", content]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return "took too long"
    if done.returncode != 0:
        if "OutOfMemoryError" in done.stderr:
            return "out of memory"
        return "failed: " + (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    options = parse(sys.argv[1:])
    import torch

    if not torch.cuda.is_available():
        print("benchmarks.gpu: needs an NVIDIA GPU, and there is none here; nothing was measured")
        return
    if options.case is not None:
        from benchmarks.gpu_sides import measure

        content = json.loads(options.case)
        print(json.dumps(asdict(measure(Case(**content["case"]), Cut(**content["cut"])))))
        return
    properties = torch.cuda.get_device_properties(0)
    print(machine(properties.name), HEADER, sep="\n", flush=True)
    left_out = [*table(options, properties.name, properties.total_memory)]
    print("", *left_out, sep="\n")


def table(options: argparse.Namespace, device: str, memory: int) -> Iterator[str]:
    """Prints the rows; gives what was left out, and why."""
    stop = time.monotonic() + 60 * options.minutes
    for case in cases(options):
        cut = cut_to_fit(case, memory)
        reason = why_not(case) or (None if cut else f"does not fit {memory / 2**30:.0f} GiB")
        left = stop - time.monotonic()
        if reason is None and left < options.seconds + START:
            reason = f"no time left of {options.minutes:g} minutes"
        if reason is None:
            assert cut is not None
            measured = in_process(case, cut, left)
            if isinstance(measured, Measured):
                print(row(case, cut, measured, device), flush=True)
                continue
            reason = measured
        yield f"- {case}: {reason}"


def machine(device: str) -> str:
    """What was measured on."""
    import deepspeed
    import torch
    import transformers

    peak = peak_teraflops(device)
    rate = "peak not known" if peak is None else f"{peak:,.0f} TFLOP/s in bfloat16"
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return f"One {device} ({rate}), {platform.machine()}; {versions}, deepspeed {deepspeed.__version__}.\n"


def parse(arguments: list[str]) -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return text.split(",")

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=names, default=[*SHAPES])
    parser.add_argument("--tuning", type=names, default=["lora", "full"])
    parser.add_argument("--gradients", type=names, default=["plain", "cached"])
    parser.add_argument("--layouts", type=names, default=[*LAYOUTS])
    parser.add_argument("--passages", type=names, default=["256", "512"])
    parser.add_argument("--rows", type=int, default=256, help="queries, and passages, of a step")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured for each case")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all cases together")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    allowed = {"sizes": [*SHAPES], "tuning": ["lora", "full"], "gradients": ["plain", "cached"]}
    allowed |= {"layouts": [*LAYOUTS], "passages": ["256", "512"]}
    for name, known in allowed.items():
        for value in getattr(options, name):
            if value not in known:
                parser.error(f"--{name}: {value} is none of {', '.join(known)}")
    return options


if __name__ == "__main__":
    main()
