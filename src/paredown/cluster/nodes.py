"""The nodes of the cluster as they are now, what tasks need of them, and waiting for one that left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from paredown.errors import BadInput

SIGN_S = 5.0  # between two signs of life
ABSENT_S = 30 * 60.0  # how long a node that left is waited for: a laptop that was closed, a machine that starts anew
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Node:
    """One node that is alive: its id, its name, and how much it has of each resource."""

    id: str
    host: str
    resources: tuple[tuple[str, float], ...]

    def has(self, name: str) -> float:
        return dict(self.resources).get(name, 0.0)


def living_nodes() -> tuple[Node, ...]:
    """All nodes that are alive, in a fixed order."""
    import ray

    found = [
        Node(row["NodeID"], row.get("NodeManagerHostname", row["NodeID"][:8]), tuple(sorted(row["Resources"].items())))
        for row in ray.nodes()
        if row["Alive"]
    ]
    return tuple(sorted(found, key=lambda node: node.id))


@dataclass(frozen=True)
class Place:
    """Where a task may run: on a node with at least one of `resource`. `cpus`, `gpus`, `resources`: what it takes there.

    `remedy`: what the user can do where there is no such node. `node_id`: the one node that is meant, None for any.
    """

    resource: str
    remedy: str
    cpus: float = 0.0
    gpus: float = 0.0
    resources: tuple[tuple[str, float], ...] = ()
    node_id: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """As Ray takes them. Ray itself repeats nothing: see `dispatch.py`."""
        found = {"num_cpus": self.cpus, "num_gpus": self.gpus, "resources": dict(self.resources), "max_retries": 0}
        if self.node_id is None:
            return found
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return found | {"scheduling_strategy": NodeAffinitySchedulingStrategy(self.node_id, soft=False)}

    def pinned(self, node: Node) -> "Place":
        """This place on one of its nodes."""
        return replace(self, node_id=node.id)

    def nodes(self) -> tuple[Node, ...]:
        """The nodes that can take such a task, now."""
        return tuple(node for node in living_nodes() if node.has(self.resource) >= 1)

    def check(self) -> tuple[Node, ...]:
        """The nodes that can take such a task. Raises BadInput, with what to do about it, where there is none."""
        found = self.nodes()
        if not found:
            raise BadInput(self.absence)
        return found

    @property
    def absence(self) -> str:
        """One line for people."""
        return f"the cluster has no node with {self.resource}; {self.remedy}"


ANYWHERE = Place("CPU", "start one: ray start --address=HOST:PORT", cpus=1.0)


def training_place(threads: int) -> Place:
    """Where a configuration is trained with so many threads of torch, or as many as the largest node has cores.

    Where nodes have GPUs, it is one of these. Raises BadInput where no node has a core.
    """
    gpus = any(node.has("GPU") >= 1 for node in living_nodes())
    place = replace(ANYWHERE, resource="GPU", gpus=1.0) if gpus else ANYWHERE
    largest = max(int(node.has("CPU")) for node in place.check())
    return replace(place, cpus=float(max(1, min(threads, largest))))


def on_target(name: str) -> Place:
    """The node that carries the target; a task takes all of it, so that there is one at a time.

    On target "cuda" it takes a GPU too: Ray hides GPUs from tasks that take none.
    """
    resource = f"target:{name}"
    remedy = f"on the machine to measure: ray start --address=HOST:PORT --resources='{{\"{resource}\": 1}}'"
    return Place(resource, remedy, gpus=1.0 if name == "cuda" else 0.0, resources=((resource, 1.0),))


@dataclass
class Vigil:
    """Watches a place while its tasks are waited for; `look` is called every now and then.

    Raises BadInput once no node could take the task for `limit_s` seconds; says every few seconds that it waits.
    """

    place: Place
    tell: Tell
    limit_s: float = ABSENT_S
    clock: Callable[[], float] = time.monotonic
    _absent_since: float | None = field(default=None, init=False)
    _told: float = field(default=float("-inf"), init=False)

    def look(self) -> None:
        """Tells now and then that the place is empty. Raises BadInput once it was for too long."""
        now = self.clock()
        if self.place.nodes():
            self._absent_since = None
            return
        if self._absent_since is None:
            self._absent_since = now
        waited_s = now - self._absent_since
        if waited_s >= self.limit_s:
            raise BadInput(f"waited {waited_s:.0f} s: {self.place.absence}")
        if now - self._told >= SIGN_S:
            self._told = now
            self.tell(f"waiting for a node with {self.place.resource} ({waited_s:.0f} of {self.limit_s:.0f} s); {self.place.remedy}")
