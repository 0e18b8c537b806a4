"""Into a Ray cluster: the address is tried first, with a limit, because Ray itself would try for minutes and then end the process."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from paredown.cluster.cluster import Cluster
from paredown.cluster.dispatch import Dispatch
from paredown.cluster.facts import Facts, fact_reader
from paredown.cluster.nodes import ABSENT_S, Node, Tell, living_nodes
from paredown.errors import BadInput

REACH_S = 5.0
ANSWER_S = 20.0  # `ray health-check` takes a second; it gives up on its own after ten where something else answers
FACTS_S = 120.0  # a node starts a process for it
LOCAL = "local"
INSTALL = "a cluster needs Ray: pip install 'paredown[ray]'"


@contextmanager
def connect(address: str, threads: int, tell: Tell = lambda line: None, absent_s: float = ABSENT_S) -> Iterator[Cluster]:
    """The cluster at `address`: "auto" (the one that this machine belongs to), "HOST:PORT" of its head, or "local" (one in this machine
    alone, which is its own target "cpu").

    `threads`: what a target gives onnxruntime. `tell` hears what happens to nodes. `absent_s`: how long nodes that left are waited for.
    Raises BadInput where Ray is not installed, the address does not answer, or nodes differ in what must be equal.
    """
    check_installed()
    import ray

    if address != LOCAL:
        _check_answer(address)
    if ray.is_initialized():
        raise RuntimeError("one cluster at a time: this process is connected to one")
    with ExitStack() as stack:
        with _own_signals():
            _open(address)
        stack.callback(ray.shutdown)
        dispatch = Dispatch(_agreed_facts(), tell, absent_s)
        stack.callback(dispatch.close)  # before Ray goes: threads may still wait for it
        yield Cluster(dispatch, threads)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray answers SIGTERM itself once it has begun: what this process had decided stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in handlers.items():
            signal.signal(kind, handler)


def check_installed() -> None:
    """Raises BadInput, with the command that installs it, where Ray is missing."""
    try:
        import ray  # noqa: F401
    except ImportError:
        raise BadInput(INSTALL) from None


def _open(address: str) -> None:
    import ray

    settings: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error", "configure_logging": False}
    if address == LOCAL:
        cores = len(os.sched_getaffinity(0))
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # what we start tells nobody; whoever starts a cluster decides for theirs
        ray.init(address=LOCAL, num_cpus=cores, resources={"target:cpu": 1}, _system_config={"worker_niceness": 0}, **settings)
        return
    try:
        ray.init(address=address, **{key: value for key, value in settings.items() if key != "include_dashboard"})
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())[:300]
        raise BadInput(f"could not join the Ray cluster at {address} (does this machine run a node of it?): {reason}") from None


def _check_answer(address: str) -> None:
    """Raises BadInput within seconds where no head node of Ray answers at the address."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    if address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536 or "/" in host:
            raise BadInput(f"the address of a Ray cluster is auto, local or HOST:PORT, got {address!r}")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
        except OSError as error:
            raise BadInput(f"no Ray cluster can be reached at {address}: {error.strerror or error}") from None
        command += ["--address", address]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired:
        raise BadInput(f"no Ray cluster answers at {address}: waited {ANSWER_S:.0f} s") from None
    if found.returncode != 0:
        hint = "is one started (ray start --head), and is its token the one of this machine (ray get-auth-token)?"
        raise BadInput(f"no Ray cluster answers at {address}: {hint}")


def _agreed_facts() -> Facts:
    """What all nodes share with this process. Raises BadInput, naming two machines and their values, where they differ."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = fact_reader()()
    assert isinstance(here, Facts)  # paredown is here: this is it
    nodes = living_nodes()
    task = ray.remote(fact_reader())
    asked = [
        task.options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote()
        for node in nodes
    ]
    done, _ = ray.wait(asked, num_returns=len(asked), timeout=FACTS_S)
    told = [(node, _told(node, reference)) for node, reference in zip(nodes, asked, strict=True) if reference in set(done)]
    decoding = [facts for node, facts in told if facts and node.has("CPU") >= 1]
    expected = decoding[0] if decoding else here
    here.check(expected, decoding=False)
    for node, facts in told:
        if facts is not None:
            facts.check(expected, decoding=node.has("CPU") >= 1)
    return expected


def _told(node: Node, reference: Any) -> Facts | None:
    """What a node tells of itself, None if it left. Raises BadInput if paredown is not there."""
    import ray

    try:
        found = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise BadInput(f"node {node.host} cannot run paredown: {str(error).strip().splitlines()[-1]}") from None
    except ray.exceptions.RayError:
        return None
    if isinstance(found, Facts):
        return found
    raise BadInput(f"paredown must be installed on every node of a cluster, it is not on {found[0]}: {found[1]}")
