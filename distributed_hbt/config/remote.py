"""Copies of a run's checkpoints elsewhere."""

import re

from pydantic import Field, field_validator

from distributed_hbt.config.base import Section


class RemoteConfig(Section):
    """Where checkpoints are copied to while the run goes on, and fetched from by a start on an empty disk."""

    url: str = Field(pattern=r"^[a-z0-9+.-]+://.+$")
    """Address of a folder as fsspec has it: `s3://bucket/runs` (with the package s3fs), `file:///mnt/runs`.
    The run's copies are in a folder of its name there. Keys come from where the store's client looks."""
    keep_last: int | None = Field(default=None, ge=1)
    """How many of the newest checkpoints stay there, beside those still to be evaluated; null: all."""
    finish_seconds: int = Field(default=600, ge=0)
    """How long the end of a run waits for what is not copied yet. The next start copies the rest."""

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str) -> str:
        if re.match(r"[^/]*//[^/]*:[^/]*@", url):
            raise ValueError("has a password in it, which everyone who reads the run would see; leave it out")
        return url
