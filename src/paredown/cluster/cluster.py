"""A cluster that a study works in: who decodes, who measures, and how many trials there may be at once."""

from typing import TYPE_CHECKING

from paredown.cluster.decoder import RayDecoder
from paredown.cluster.dispatch import Dispatch, Job
from paredown.cluster.nodes import ANYWHERE, on_target
from paredown.cluster.stopwatch import RayStopwatch
from paredown.cluster.trainer import RayTrainer
from paredown.errors import BadInput
from paredown.profilers.fingerprint import Fingerprint, read_fingerprint
from paredown.trials.timing import Device

if TYPE_CHECKING:
    from paredown.runtime.session import Target


class Cluster:
    """An open connection; made by `connect`."""

    def __init__(self, dispatch: Dispatch, threads: int) -> None:
        self.dispatch = dispatch
        self._threads = threads

    def decoder(self) -> RayDecoder:
        return RayDecoder(self.dispatch)

    def stopwatch(self, threads: int | None = None, target: "Target" = "cpu") -> RayStopwatch:
        """Raises BadInput, with how to start one, where no node carries the target."""
        return RayStopwatch(self.dispatch, threads or self._threads, target)

    def trainer(self, threads: int) -> RayTrainer:
        """Trains with so many threads a task. Raises BadInput where no node has a core."""
        return RayTrainer(self.dispatch, threads)

    def lanes(self) -> int:
        """How many trials may run at once: one for each core that decodes, as many as there are now."""
        return max(1, sum(int(node.has("CPU")) for node in ANYWHERE.nodes()))

    @property
    def instructions(self) -> tuple[str, ...]:
        """The instruction sets of the nodes that decode, which quality figures carry."""
        return self.dispatch.facts.instructions

    @property
    def repeated(self) -> int:
        """How many tasks were sent again because a node or its process was lost."""
        return self.dispatch.repeated

    def fingerprint(self, threads: int | None = None, target: "Target" = "cpu") -> Fingerprint:
        """The fingerprint of the target, read there.

        Raises BadInput where no node carries the target, or where several do that are not alike: figures of both share no scale.
        """
        threads = threads or self._threads
        place = on_target(target)
        found: dict[str, Fingerprint] = {}
        for node in place.check():
            answer = self.dispatch.run([Job(read_fingerprint, (threads, target))], place.pinned(node), Device(threads, target))[0]
            found[node.host] = answer.value
        (first, one), *others = found.items()
        for host, other in others:
            for fact, value in other.facts.items():
                if one.facts.get(fact) != value:
                    theirs = one.facts.get(fact)
                    raise BadInput(f"nodes with target:{target} must be alike: {fact} is {theirs} on {first} and {value} on {host}")
        return one
