"""One small Ray cluster for all tests of this folder: a head that decodes and a node that carries the target, on this machine."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from paredown.cluster import Cluster, connect

SMALL = {"object_store_memory": 80 * 1024 * 1024}
# Few processes, and a dead node that is noticed after a second: by itself Ray takes more than ten.
SETTINGS = {"prestart_worker_first_driver": False, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Rig:
    """Ray's own handle of the cluster, to add and kill nodes; the connection; and the id of the node that carries the target."""

    ray_cluster: Any
    connected: Cluster
    target: str
    lines: list[str]

    @property
    def address(self) -> str:
        return str(self.ray_cluster.address)


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra [ray]")
    with tempfile.TemporaryDirectory(prefix="pd-", ignore_cleanup_errors=True) as folder:  # a short name: Ray's sockets lie in it
        yield from _rigged(utils, folder)


def _rigged(utils: Any, folder: str) -> Iterator[Rig]:
    before = dict(os.environ)
    os.environ["TMPDIR"] = folder  # of the nodes: this process has looked it up already
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # else Ray would write one into the home folder
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = str(ROOT)  # nodes find the jobs of tests
    os.environ["PAREDOWN_CACHE"] = str(Path(folder) / "cache")  # nodes that train have one of their own
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": SETTINGS, **SMALL}
    nodes = utils.Cluster(initialize_head=True, head_node_args=head)
    target = nodes.add_node(num_cpus=0, resources={"target:cpu": 1}, **SMALL)
    lines: list[str] = []
    try:
        with connect(nodes.address, 1, lines.append, absent_s=60.0) as connected:
            yield Rig(nodes, connected, str(target.node_id), lines)
    finally:
        nodes.shutdown()
        os.environ.clear()
        os.environ.update(before)
