"""Fused kernels of another package: refused where they can not be."""

import importlib.util

import pytest
import torch

from distributed_hbt.errors import ConfigError
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.liger import use_liger_kernels


def test_what_is_missing_is_named(model_of, monkeypatch):
    """A run that silently trains without the kernels, or dies of an ImportError."""
    backbone = build_encoder(model_of("qwen3"), 1).backbone
    here = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "liger_kernel" else here(n))
    with pytest.raises(ConfigError, match=r"train.liger_kernels: needs the package .*the extra `gpu`"):
        use_liger_kernels(backbone, torch.device("cuda"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: here("json"))
    with pytest.raises(ConfigError, match=r"train.liger_kernels: needs an NVIDIA GPU"):
        use_liger_kernels(backbone, torch.device("cpu"))
