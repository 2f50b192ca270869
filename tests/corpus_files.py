"""Small files of passages, topics and judgments."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

Row = dict[str, Any] | str | bytes


def write_lines(path: Path, *rows: Row) -> Path:
    """A line a row: JSON for mappings; text and bytes as they are, with their own line ends."""
    content = b"".join(_line(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def passage(doc_id: str, text: str = "text", title: str = "") -> dict[str, str]:
    """A row as MIRACL publishes it."""
    return {"docid": doc_id, "title": title, "text": text}


def loaded_in_a_process(settings: str, **environment: str) -> list[str]:
    """What `load_judged` gives for a benchmark in JSON: task, queries and files, or the error.

    In a process of its own, as the hub's client reads its environment once.
    """
    code = (
        "import sys, json\n"
        "from pydantic import TypeAdapter\n"
        "from distributed_hbt.config.evaluation import Benchmark\n"
        "from distributed_hbt.errors import DataError\n"
        "from distributed_hbt.evaluation.benchmarks.judged import load_judged\n"
        "try:\n"
        "    for one in load_judged(TypeAdapter(Benchmark).validate_json(sys.argv[1])):\n"
        "        print(one.task, *(q.text for q in one.queries), *(f.path.name for f in one.corpus))\n"
        "except DataError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, settings],
        env={**os.environ, "HF_HUB_OFFLINE": "0", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def _line(row: Row) -> bytes:
    if isinstance(row, dict):
        row = json.dumps(row, ensure_ascii=False) + "\n"
    return row.encode() if isinstance(row, str) else row
