"""What a user hears who cannot be connected: one line, soon."""

import socket
import sys

import pytest

from paredown.cluster import connect, connection
from paredown.errors import BadInput


def refused(address: str) -> str:
    with pytest.raises(BadInput) as found, connect(address, 1):
        pass
    assert "\n" not in str(found.value)
    return str(found.value)


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert refused("local") == "a cluster needs Ray: pip install 'paredown[ray]'"


@pytest.mark.parametrize("address", ["", "host", "ray://host:10001", "host:port", "host:0", ":6379", "host:70000"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    pytest.importorskip("ray")
    assert refused(address) == f"the address of a Ray cluster is auto, local or HOST:PORT, got {address!r}"


def test_a_port_where_nobody_listens() -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert refused(f"127.0.0.1:{port}") == f"no Ray cluster can be reached at 127.0.0.1:{port}: Connection refused"


def test_a_port_where_something_else_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(connection, "ANSWER_S", 2.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        assert refused(f"127.0.0.1:{port}") == f"no Ray cluster answers at 127.0.0.1:{port}: waited 2 s"
