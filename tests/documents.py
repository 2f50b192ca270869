"""The commands of the README and the docs, and what each of them needs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.programs import ROOT

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("launchers", "ds_configs", "k8s")),
]
"""Those that are there."""

OTHER_LANGUAGES = ("json", "yaml", "python", "mermaid", "")
"""Of blocks that hold no commands: examples of files and of what is printed."""

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", flags=re.S | re.M)
_NEEDS = re.compile(r"# needs: (.+)")
_IN_A_SENTENCE = re.compile(r"`((?:make|hbt|accelerate|torchrun|sbatch|launchers/ray_submit\.sh) [^`]*)`")
_PLACEHOLDER = re.compile(r"\b(RUN|STUDY)\.yaml")
_NAMES_A_NEED = re.compile(r"cluster|GPU|node|Slurm|Kubernetes")
_HERE_DOCUMENT = re.compile(r"<<\s*'?(\w+)'?")


@dataclass(frozen=True)
class Command:
    """One command of a page. `needs`: what the page says it needs that a machine with two cores lacks: in the
    block's first line, `# needs: a Ray cluster`, or in the line of a sentence's own command."""

    page: Path
    text: str
    needs: str | None
    in_block: bool

    @property
    def name(self) -> str:
        """Of the page, from the repository's root."""
        return str(self.page.relative_to(ROOT))


def commands(pages: list[Path] | None = None) -> list[Command]:
    """Every command, in the order of the pages."""
    return [
        command
        for page in (PAGES if pages is None else pages)
        if page.exists()
        for command in (*_of_blocks(page), *_of_sentences(page))
    ]


def _of_blocks(page: Path) -> Iterator[Command]:
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        first = _NEEDS.match(block)
        for text in _split(block):
            if not text.startswith("#"):
                yield Command(page, text, first.group(1) if first else None, in_block=True)


def _split(block: str) -> Iterator[str]:
    """Commands that go over several lines (a trailing backslash, a here-document) are one."""
    lines = iter(block.splitlines())
    for line in lines:
        if not line.strip():
            continue
        command = [line]
        while command[-1].endswith("\\"):
            command.append(next(lines))
        if here := _HERE_DOCUMENT.search(line):
            while command[-1] != here.group(1):
                command.append(next(lines))
        yield "\n".join(command)


def _of_sentences(page: Path) -> Iterator[Command]:
    """Whole commands: with a run file, or a target of make. Others name a command without its arguments, or
    say what its arguments are."""
    for line in _BLOCK.sub("", page.read_text(encoding="utf-8")).splitlines():
        for text in _IN_A_SENTENCE.findall(line):
            if text.startswith("make ") or (".yaml" in text and not _PLACEHOLDER.search(text)):
                named = _NAMES_A_NEED.search(line.replace(text, ""))
                yield Command(page, text, named.group() if named else None, in_block=False)


def languages(page: Path) -> list[str]:
    """What the page's blocks say they are, one entry a block."""
    fences = re.findall(r"^( *)```(\w*)$", page.read_text(encoding="utf-8"), flags=re.M)
    return [indent + language for indent, language in fences[::2]]
