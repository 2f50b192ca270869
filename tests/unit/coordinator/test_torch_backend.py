"""Which network interface the ranks of a node use."""

import os

import pytest

from distributed_hbt.coordinator.torch_backend import name_interface

NAME = "GLOO_SOCKET_IFNAME"


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A node that Ray knows as 127.0.0.1."""
    monkeypatch.setattr("ray.util.get_node_ip_address", lambda: "127.0.0.1")
    monkeypatch.setenv(NAME, "")  # put back afterwards
    monkeypatch.delenv(NAME)
    return monkeypatch


def test_interface_of_the_node_s_address_is_named() -> None:
    """Ranks that listen where the host's own name leads, which another node can not reach."""
    name_interface()
    assert os.environ[NAME] == "lo"


def test_what_the_environment_names_stays(node: pytest.MonkeyPatch) -> None:
    """An administrator's choice that is overwritten."""
    node.setenv(NAME, "ib0")
    name_interface()
    assert os.environ[NAME] == "ib0"


def test_address_of_no_interface_leaves_the_choice_to_gloo(node: pytest.MonkeyPatch) -> None:
    """A node behind a translated address that can not start at all."""
    node.setattr("ray.util.get_node_ip_address", lambda: "192.0.2.77")
    name_interface()
    assert NAME not in os.environ
