"""Jobs sent to the cluster and waited for. What a node took with it when it left is sent again; what a job raises comes back as itself.

Ray would repeat a task whenever its process dies, for ever if told so; but a bundle that crashes onnxruntime would then block a study.
So tasks are repeated here: as often as nodes leave, and a few times where only the process died.
"""

import pickle
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paredown.cluster.facts import Facts
from paredown.cluster.nodes import ABSENT_S, Place, Tell, Vigil, living_nodes
from paredown.cluster.parcels import Parcel
from paredown.cluster.post import Post
from paredown.cluster.tasks import Answer, Request, perform
from paredown.cluster.travel import send_paths
from paredown.errors import BadInput
from paredown.trials.timing import Device
from paredown.trials.workers import WorkerDied

POLL_S = 0.5
LOOK_S = 2.0  # between two looks at the nodes
NOTICE_S = 1.0  # a process dies before Ray has noticed that its node did
CLOSE_S = 5.0
CRASHES = 3  # of the process of one task, on nodes that live on


@dataclass(frozen=True)
class Job:
    """A function and its arguments; paths among them travel along. The function must be found by its name on every node."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass
class _Sent:
    """A job on its way: how often its process died, and the nodes there were when it was sent last."""

    job: Job
    crashes: int = 0
    nodes: frozenset[str] = frozenset()


@dataclass
class Dispatch:
    """The way into the cluster; threads may share it. `facts`: what nodes must have in common. `repeated`: tasks that were sent again."""

    facts: Facts
    tell: Tell
    absent_s: float = ABSENT_S
    post: Post = field(default_factory=Post)
    repeated: int = 0
    _closing: threading.Event = field(default_factory=threading.Event)
    _calls: set[int] = field(default_factory=set)  # threads inside of `run`

    def close(self) -> None:
        """Calls off what runs: its threads raise CancelledError. Returns when they have, or after a while."""
        self._closing.set()
        deadline = time.monotonic() + CLOSE_S
        while self._calls and time.monotonic() < deadline:
            time.sleep(0.01)

    def run(self, jobs: Sequence[Job], place: Place, device: Device | None = None) -> list[Answer]:
        """Answers in the order of the jobs. Raises the first error that a job raises, after the others were called off.

        `device`: jobs run alone on their machine. Raises BadInput where no node can take them, WorkerDied where the process of one died a
        few times on nodes that live on, and CancelledError where the cluster is closed meanwhile.
        """
        place.check()
        call = threading.get_ident()
        self._calls.add(call)
        try:
            return self._collect([_Sent(job) for job in jobs], place, device)
        finally:
            self._calls.discard(call)

    def _collect(self, sent: Sequence[_Sent], place: Place, device: Device | None) -> list[Answer]:
        import ray

        answers: dict[int, Answer] = {}
        vigil = Vigil(place, self.tell, self.absent_s)
        running = {self._send(one, place, device): number for number, one in enumerate(sent)}
        looked = time.monotonic()
        try:
            while running:
                done, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
                if self._closing.is_set():
                    raise CancelledError
                if time.monotonic() - looked >= LOOK_S:
                    vigil.look()
                    looked = time.monotonic()
                for reference in done:
                    number = running.pop(reference)
                    answer = self._receive(reference, sent[number])
                    if answer is None:
                        running[self._send(sent[number], place, device)] = number
                    else:
                        answers[number] = answer
        finally:
            for reference in running:
                ray.cancel(reference)
        return [answers[number] for number in range(len(sent))]

    def _send(self, one: _Sent, place: Place, device: Device | None) -> Any:
        import ray
        from ray import cloudpickle

        taken: dict[Parcel, tuple[int, Any]] = {}

        def take(path: Path) -> int:
            parcel, reference = self.post.send(path)
            return taken.setdefault(parcel, (len(taken), reference))[0]

        arguments = send_paths(one.job.arguments, take)
        work = cloudpickle.dumps((one.job.function, arguments))
        one.nodes = frozenset(node.id for node in living_nodes())
        task = ray.remote(perform).options(**place.options)
        return task.remote(Request(work, tuple(taken), self.facts, device), *(reference for _, reference in taken.values()))

    def _receive(self, reference: Any, one: _Sent) -> Answer | None:
        """What the task gave, None where it must be sent again; raises what the job raised."""
        import ray
        from ray import exceptions

        try:
            answer: Answer = ray.get(reference)
        except (exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.ObjectLostError, exceptions.OutOfMemoryError) as error:
            self._count(one, error)
            return None
        except exceptions.RayTaskError as error:  # not from the job: the task could not even begin
            raise BadInput(f"a node of the cluster could not begin a task: {_last_line(error)}") from None
        except exceptions.RayError as error:
            raise RuntimeError(f"the cluster failed: {_last_line(error)}") from error
        if answer.error is not None:
            raise pickle.loads(answer.error)
        return answer

    def _count(self, one: _Sent, error: Exception) -> None:
        """Raises WorkerDied where the process of this task died too often, although no node left."""
        self.repeated += 1
        if type(error).__name__ != "NodeDiedError":
            self.post.forget()
            time.sleep(NOTICE_S)
            if one.nodes <= {node.id for node in living_nodes()}:
                one.crashes += 1
        if one.crashes >= CRASHES:
            raise WorkerDied(f"the process of a task died {CRASHES} times on nodes that live on: {_last_line(error)}") from error
        self.tell(f"a node or its process was lost ({type(error).__name__}): its task is sent again")


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
