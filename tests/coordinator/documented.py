"""The commands of docs/cluster.md, for this machine."""

import re
import shlex
from collections.abc import Mapping

from tests.programs import ROOT


def documented(beginning: str, replaced: Mapping[str, str]) -> list[str]:
    """The words of the command of docs/cluster.md that begins so, with this machine's addresses and ports."""
    text = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.S)
    (command,) = [line for block in blocks for line in block.splitlines() if line.startswith(beginning)]
    for there, here in replaced.items():
        assert there in command, command
        command = command.replace(there, here)
    return shlex.split(command)
