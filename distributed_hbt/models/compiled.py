"""Layers compiled by torch."""

import importlib.util
import os
import shutil

import torch

from distributed_hbt.errors import ConfigError
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.layers import layer_stack

_WHERE = "train.compile"


def compile_layers(encoder: Encoder, device: torch.device) -> None:
    """Compile every layer in place, one program for all that are alike and for batches of any size.

    A last layer that runs for one token stays as it is: its arguments change while it runs. Names of weights
    do not change. Compilation happens in the first steps.

    Raises:
        ConfigError: the backbone has no list of layers, or there is no compiler.
    """
    _check_compiler(device)
    found = layer_stack(encoder.backbone)
    if found is None:
        what = f"a {encoder.backbone.config.model_type} has no list of layers"
        raise ConfigError(_WHERE, what, "set it to false")
    _, layers = found
    for layer in list(layers)[: -1 if encoder.shortens_last_layer else None]:
        layer.compile(dynamic=True)


def _check_compiler(device: torch.device) -> None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        what = f"torch compiles with {compiler}, which is not here"
        raise ConfigError(_WHERE, what, "install a C++ compiler or name one in CXX, or set it to false")
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        what = "torch compiles for GPUs with triton, which is not installed"
        raise ConfigError(_WHERE, what, "install it, or set it to false")
