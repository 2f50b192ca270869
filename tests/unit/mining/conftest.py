"""A tiny random encoder, and a folder to mine in."""

from pathlib import Path

import pytest

from tests.tiny_encoder import write_checkpoint
from tests.unit.mining.bench import WORDS, Bench, sentence


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [sentence(language, str(n)) for language in WORDS for n in range(100)]
    return write_checkpoint(tmp_path_factory.mktemp("mining") / "step-00000010", texts)


@pytest.fixture
def bench(tmp_path: Path, checkpoint: Path) -> Bench:
    return Bench(tmp_path, checkpoint)
