"""The README and the docs, walked: every command is run as it stands, or its page says what it needs."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.distributed.run_for_tests import ROOT
from tests.documents import OTHER_LANGUAGES, PAGES, Command, commands, languages
from tests.walked_world import World

README = ROOT / "README.md"
XQUAD = "launchers/runs/xquad_r_tiny.yaml"


@dataclass(frozen=True)
class Elsewhere:
    """A test that runs the command, smaller: its file, and the words in it that do."""

    file: str
    words: str


STUDY = Elsewhere("tests/coordinator/test_study.py", '"distributed_hbt.cli", "study", file')
CLONED = Elsewhere("tests/end_to_end/test_docs.py", 'f"data.root={tmp_path}"')
LAUNCH = "tests/end_to_end/test_launch.py"
RUN_ELSEWHERE = {
    "make demo": Elsewhere("tests/end_to_end/test_demo.py", 'main(["demo", '),
    "make test": Elsewhere(".ci/run", "exec make test"),
    "make check-k8s": Elsewhere("tests/k8s/test_overlays.py", "program.main()"),
    "hbt study launchers/studies/alpha_small.yaml": STUDY,
    "hbt study launchers/studies/alpha_small.yaml study.seeds=[13] train.max_steps=10": STUDY,
    "git clone https://github.com/google-research-datasets/lareqa": CLONED,
    f"hbt train {XQUAD} data.root=lareqa": CLONED,
    f"hbt train {XQUAD}": Elsewhere(LAUNCH, 'programs.hbt("train", run_file'),
    f"torchrun --standalone --nproc-per-node 2 -m distributed_hbt.train {XQUAD}": Elsewhere(
        LAUNCH, "programs.torchrun(run_file"
    ),
    "accelerate launch --config_file launchers/accelerate/cpu_zero2.yaml "
    f"-m distributed_hbt.train {XQUAD}": Elsewhere(LAUNCH, "*programs.accelerate("),
}
"""What takes minutes, or the network, and is run by another test in a small form, or with a copy."""

NOT_RUN = {
    "make format": "rewrites the checkout",
    "make lock": "rewrites constraints.txt",
    "make test-scale": "many minutes; tests/scale has its own short form",
    "make test-faults": "half an hour; tests/faults has its own short form",
    "make test-fuzz": "many minutes; tests/fuzz has its own short form",
    "make audit": "asks a database in the network",
    "make soak": "minutes of a whole cluster; its parts have tests of their own",
    "make studies": "an hour; a loop over `hbt study`",
    ".venv/bin/pytest tests/unit/losses": "a part of `make test`",
}
"""Checked as `make --dry-run` alone, and why."""


OUTSIDE = ("docker", "git", "kubectl", "launchers/ray_submit.sh", "pip", "ray", "sbatch")
"""Programs that act on more than the folder: a block with one of them has to say what it needs."""


def is_walked(command: Command) -> bool:
    known = command.needs or command.text in RUN_ELSEWHERE or command.text in NOT_RUN
    return command.in_block and not known and command.text.split()[0] not in OUTSIDE


EVERY = commands()
WALKED = [command for command in EVERY if is_walked(command)]
OTHER_PAGES = [page for page in PAGES if page != README and any(one.page == page for one in WALKED)]
"""Those with something to walk."""


def walk(world: World, page: Path, already: set[str]) -> None:
    """The page from top to bottom; what stands word by word on a page that was walked before is done."""
    for command in WALKED:
        if command.page == page and command.text not in already:
            exit_code, output = world.run(command.text)
            assert exit_code == 0, f"{command.name}: {command.text}\n{output[-4000:]}"


@pytest.fixture(scope="module")
def readme(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world as the README leaves it; the other pages are about its runs."""
    world = World.build(tmp_path_factory.mktemp("readme") / "world")
    walk(world, README, set())
    world.add_seeds()
    return world


def test_readme_ends_with_what_it_promises(readme: World) -> None:
    """Commands that end well, and leave nothing behind."""
    for name in (
        "runs/xquad_r_tiny/FINISHED",
        "runs/two_ranks/checkpoints/step-00000400/COMPLETE",
        "runs/two_ranks/evaluation/step-00000400/xquad_r/summary.json",
        "runs/hybrid-13/FINISHED",
        "report/report.html",
        "results/xquad_r/summary.json",
        "mined.jsonl.gz",
        "exported/modules.json",
    ):
        assert (readme.folder / name).is_file(), name


@pytest.mark.parametrize("page", OTHER_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_is_walked(page: Path, readme: World, tmp_path: Path) -> None:
    """A command that parses, and fails: a checkpoint that is not there, a folder that is not empty, a run
    that was started with other values."""
    world = readme.copy(tmp_path / "world")
    walk(world, page, {command.text for command in WALKED if command.page == README})


def test_every_command_is_run_or_its_page_says_what_it_needs() -> None:
    """A command that nobody has ever run."""
    run = {command.text for command in WALKED}
    known = run | RUN_ELSEWHERE.keys() | NOT_RUN.keys()
    assert [(one.name, one.text) for one in EVERY if one.text not in known and not one.needs] == []


def test_no_command_hides_in_another_kind_of_block() -> None:
    """```bash, or a block inside a list: nobody would run what stands there."""
    known = ("sh", *OTHER_LANGUAGES)
    pages = [page for page in PAGES if page.exists()]
    assert [(page.name, one) for page in pages for one in languages(page) if one not in known] == []


def test_what_runs_elsewhere_does() -> None:
    """An entry whose test is gone, or whose command is."""
    texts = {command.text for command in EVERY}
    assert [text for text in (*RUN_ELSEWHERE, *NOT_RUN) if text not in texts] == []
    for elsewhere in RUN_ELSEWHERE.values():
        assert elsewhere.words in (ROOT / elsewhere.file).read_text(), elsewhere
