"""A run whose checkpoints are copied to S3, and whose disk is lost."""

import json
import shutil
from pathlib import Path

import pytest

from tests.distributed.run_for_tests import write_run
from tests.programs import BIN, Programs
from tests.tracking_stack import BUCKET, S3_KEYS, s3_server


def losses(run: Path) -> dict[int, float]:
    lines = (json.loads(line) for line in (run / "train.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines}


def test_a_run_goes_on_from_s3_on_an_empty_disk(tmp_path: Path) -> None:
    """A node that is lost with its disk. The store itself may be away when a run that has begun starts again,
    not when it is new: a mistyped address would be found when the disk is gone."""
    for package in ("s3fs", "boto3", "moto"):
        pytest.importorskip(
            package, reason=f"{package} is not installed (pip install 'distributed-hbt[dev]')"
        )
    programs = Programs()
    remote = {"url": f"s3://{BUCKET}/runs", "finish_seconds": 600}
    run_file = write_run(tmp_path, remote=remote)
    run = tmp_path / "runs" / "tiny"
    with s3_server() as (endpoint, s3):
        programs.environment |= {**S3_KEYS, "AWS_ENDPOINT_URL": endpoint}
        done = programs.run(BIN / "hbt", "train", run_file)
        assert done.returncode == 0, done.stderr
        assert f"copied the checkpoint of step 10 to s3://{BUCKET}/runs/tiny" in done.stderr
        whole = losses(run)
        shutil.rmtree(run)
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
        for key in keys:  # as if the node was lost before the last checkpoint was copied whole
            if "step-00000010" in key and key.endswith(".json") and "/checkpoint/" not in key:
                s3.delete_object(Bucket=BUCKET, Key=key)
        again = programs.run(BIN / "hbt", "train", run_file)
        assert again.returncode == 0, again.stderr
        assert f"fetched the checkpoint of step 5 from s3://{BUCKET}/runs/tiny" in again.stderr
        assert losses(run) == whole
        assert sorted(whole) == list(range(1, 11))
    # the store is away from here on
    programs.environment |= {"AWS_MAX_ATTEMPTS": "1"}
    later = programs.run(BIN / "hbt", "train", run_file, "remote.finish_seconds=0")
    assert later.returncode == 0, later.stderr
    assert "all 10 steps are done" in later.stderr
    new = programs.run(BIN / "hbt", "train", run_file, "name=new")
    assert new.returncode == 2
    assert new.stderr.splitlines()[-1].startswith(
        f"hbt: error: remote.url: s3://{BUCKET}/runs can not be used"
    )
    assert "Traceback" not in new.stderr
