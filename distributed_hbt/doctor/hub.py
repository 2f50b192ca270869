"""The Hugging Face hub: can a repository be had from it, or from its cache on this machine."""

import os
from pathlib import Path
from typing import Literal

from distributed_hbt.doctor.finding import Finding
from distributed_hbt.errors import one_line

_SECONDS = 15.0
Kind = Literal["model", "dataset"]


def repository_finding(check: str, repository: str, kind: Kind, revision: str | None) -> Finding:
    """Whether a repository is on the hub for this user, or, without a network, in the cache.

    `repository`: owner/name, for data sets also with @revision.
    """
    from huggingface_hub import constants

    name, _, of_name = repository.partition("@")
    revision = revision or of_name or None
    cached = _cached(name, kind, revision)
    if constants.HF_HUB_OFFLINE:
        if cached:
            return Finding(check, "ok", f"{name} is in the hub's cache ({cached}), HF_HUB_OFFLINE is set")
        what = f"{name} is not in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it"
        remedy = f"fetch it once: HF_HUB_OFFLINE=0 hf download {name} --repo-type {kind}"
        return Finding(check, "failure", what, remedy)
    trouble = _trouble(name, kind, revision)
    if trouble is None:
        return Finding(check, "ok", f"{name} can be fetched from {constants.ENDPOINT}")
    if cached:
        what = f"{name} can not be asked for at {constants.ENDPOINT} ({trouble}), but is in the cache"
        return Finding(check, "warning", what, "set HF_HUB_OFFLINE=1, so that nothing waits for the hub")
    remedy = "check the name, the network, HF_ENDPOINT and HF_TOKEN (hf auth login), or give a local folder"
    what = f"{name} can not be fetched from {constants.ENDPOINT} ({trouble})"
    return Finding(check, "failure", what, remedy)


def hub_finding(check: str) -> Finding:
    """Whether the hub answers at all: without a run, nothing is known to be needed from it."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return Finding(check, "ok", "the hub is not asked, since HF_HUB_OFFLINE is set")
    try:
        get_session().head(constants.ENDPOINT, timeout=_SECONDS)
    # Whichever HTTP library it is built on: all of its errors mean the same here.
    except Exception as error:
        what = f"{constants.ENDPOINT} does not answer ({one_line(error)})"
        remedy = "check the network and the proxy, or work with local folders and HF_HUB_OFFLINE=1"
        return Finding(check, "warning", what, remedy)
    return Finding(check, "ok", f"{constants.ENDPOINT} answers")


def _trouble(name: str, kind: Kind, revision: str | None) -> str | None:
    from huggingface_hub import HfApi

    try:
        HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=_SECONDS)
    # The hub's own errors, and those of the HTTP library below it.
    except Exception as error:
        return one_line(error)
    return None


def _cached(name: str, kind: Kind, revision: str | None) -> Path | None:
    """The repository's folder in the cache, if it holds files of that revision."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, repo_type=kind, revision=revision, local_files_only=True))
    except (OSError, ValueError):  # not there, or no repository's name
        return None
    return folder if any(os.scandir(folder)) else None
