"""Secrets do not reach what others read."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distributed_hbt.cli import main
from distributed_hbt.config.load import dump, load_run, with_overrides
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.masking import MaskedLines, connectable, masked, masked_values, without_credentials
from distributed_hbt.run_directory import check_run_directory, write_config
from distributed_hbt.tracking.run_facts import run_params, run_tags

SECRET = "h4nter-two"
RUN = f"""
name: t
model:
  architecture: {{model_type: qwen3, hidden_size: 64}}
  tokenizer: {{train: {{vocab_size: 400}}}}
data:
  sources:
    - {{format: hbt_jsonl, path: train.jsonl}}
    - {{format: hbt_jsonl, path: "s3://key:{SECRET}@bucket/rows.jsonl"}}
tracking:
  uri: postgresql+psycopg2://me:{SECRET}@host:5432/db?sslpassword={SECRET}
  tags: {{api_key: {SECRET}, team: ir, note: "token={SECRET}"}}
"""


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    (tmp_path / "train.jsonl").touch()
    file = tmp_path / "run.yaml"
    file.write_text(RUN, encoding="utf-8")
    return file


def with_secret(run_file: Path, secret: str) -> RunConfig:
    run_file.write_text(RUN.replace(SECRET, secret), encoding="utf-8")
    return load_run(run_file, [f"output_dir={run_file.parent / 'runs'}"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg2://me:a@b/c@host/db", "postgresql+psycopg2://me:***@host/db"),
        ("https://me:secret@host:5000", "https://me:***@host:5000"),
        ("https://s3cr3t@host/path", "https://***@host/path"),
        ("s3://KEY:secret@bucket/key", "s3://KEY:***@bucket/key"),
        ("https://host/x?a=1&token=secret&b=2", "https://host/x?a=1&token=***&b=2"),
        ("(password=secret)", "(password=***)"),
        ("login with hf_abcdefghijklmnopqrstuvwx failed", "login with *** failed"),
        ("Authorization: Basic dXNlcjpwYXNz0", "Authorization: Basic ***"),
    ],
)
def test_a_secret_is_masked_in_any_text(text: str, shown: str) -> None:
    """A form of address whose password is printed by the one message that quotes it."""
    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://host:5000/a@b",
        "sqlite:////tmp/a@b/mlflow.db",
        "http://localhost:5000",
        "model.tokenizer: no tokenizer can be loaded from /x (max_tokens=3)",
        "postgresql://me@host/db",
        "at step 3: 4 tokens; see https://host/page and mail a@b",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """A message that hides the field it is about."""
    assert masked(text) == text


def test_no_field_of_a_run_is_taken_for_a_secret() -> None:
    """`last_token` under pooling, say: config.yaml would hold a value that can not be resumed."""
    plain = RUN.replace(f":{SECRET}@", "@").replace(f"?sslpassword={SECRET}", "").replace(SECRET, "''")
    content = yaml.safe_load(plain)
    config = RunConfig.model_validate_json(json.dumps(content))
    assert yaml.safe_load(dump(config)) == config.model_dump(mode="json")


def test_the_resolved_configuration_and_mlflow_are_told_no_secret(run_file: Path) -> None:
    """Everyone who may look at the run directory or at MLflow's pages would read it."""
    config = with_secret(run_file, SECRET)
    write_config(check_run_directory(config), config)
    tags = run_tags(config, world_size=1, commit=None, versions={})
    written = (config.run_dir / "config.yaml").read_text(encoding="utf-8")
    for text in (written, dump(config), json.dumps(run_params(config)), json.dumps(tags)):
        assert SECRET not in text
        assert "***" in text
    assert config.tracking.uri is not None
    assert SECRET in config.tracking.uri  # which is what the run connects with
    assert tags["team"] == "ir"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_show_config_shows_no_secret(
    run_file: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """Its output is what people paste into an issue."""
    assert main(["show-config", str(run_file), *options]) == 0
    shown = capsys.readouterr().out
    assert SECRET not in shown
    assert "postgresql+psycopg2://me:***@host:5432/db" in shown


def test_a_run_resumes_with_a_new_password_but_not_with_another_database(run_file: Path) -> None:
    """Passwords change while a run lasts weeks; and config.yaml does not know the old one."""
    config = with_secret(run_file, SECRET)
    write_config(check_run_directory(config), config)
    check_run_directory(config)
    check_run_directory(with_secret(run_file, "rotated"))
    other = with_overrides(config, [f"tracking.uri=postgresql+psycopg2://me:{SECRET}@elsewhere/db"])
    with pytest.raises(ConfigError, match=r"other values of tracking\.uri"):
        check_run_directory(other)


@pytest.mark.parametrize(
    ("kept", "used"),
    [
        ("postgresql://me:***@host/db?sslpassword=***", "postgresql://me@host/db"),
        ("https://me:***@host:5000", "https://host:5000"),
        ("https://***@host:5000/x?token=***&a=1", "https://host:5000/x?a=1"),
        ("postgresql://me:secret@host/db", "postgresql://me:secret@host/db"),
    ],
)
def test_a_masked_address_leaves_the_password_to_the_environment(kept: str, used: str) -> None:
    """`hbt train RUN_DIRECTORY/config.yaml` that would log in with three stars."""
    assert connectable(kept) == used
    assert "***" not in without_credentials(kept)
    assert "secret" not in without_credentials(kept)


def test_errors_and_tracebacks_are_masked(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The override that is refused is quoted, and with --debug so is every error below it."""
    override = f"nothing.at=https://me:{SECRET}@host"
    assert main(["show-config", str(run_file), override, "--debug"]) == 2
    captured = capsys.readouterr()
    assert "hbt: error: " in captured.err
    assert SECRET not in captured.err + captured.out
    assert SECRET not in str(ConfigError("a", f"{masked_values([f'token={SECRET}'])}", "b"))


@pytest.fixture
def records() -> Iterator[list[str]]:
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, log = Kept(), logging.getLogger("distributed_hbt.of_a_test")
    handler.setFormatter(MaskedLines("%(message)s"))
    log.addHandler(handler)
    yield lines
    log.removeHandler(handler)


def test_log_lines_are_masked_with_their_tracebacks(records: list[str]) -> None:
    """A warning of the tracker quotes what the database's client said, address and all."""

    def fail(address: Any) -> None:
        raise RuntimeError(f"can not connect to {address}")

    try:
        fail(f"postgresql://me:{SECRET}@host/db")
    except RuntimeError:
        logging.getLogger("distributed_hbt.of_a_test").exception("at https://me:%s@host", SECRET)
    assert len(records) == 1
    assert SECRET not in records[0]
    assert "RuntimeError" in records[0]
