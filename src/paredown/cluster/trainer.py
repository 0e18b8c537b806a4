"""Training on the nodes: weights of a configuration are made wherever the cluster has room, and come back into this machine's cache.

Model and data are packed once and stay in the object store; each node unpacks them once. What an earlier stage made, or what a
configuration starts from, travels with the task. A node keeps what it trained and heard from the teacher in its own cache, so that a task
that was sent again goes on from the last checkpoint if it meets the same machine.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from paredown.cluster.dispatch import Dispatch, Job
from paredown.cluster.nodes import Node, training_place
from paredown.cluster.parcels import Parcel, pack, unpack
from paredown.profilers.machine_lock import check_free
from paredown.space.training import Training
from paredown.trials.lessons import Lesson, Lessons, hear, learn
from paredown.trials.recoveries import Work, recovery_folder, take_in


class RayTrainer:
    """Trains configurations on nodes; threads may share it. A context manager: folders that were packed go with it.

    `threads`: of torch in a task, or as many as the largest node has cores. A task takes as many cores, and a GPU where nodes have some.
    Raises BadInput where no node has a core.
    """

    def __init__(self, dispatch: Dispatch, threads: int) -> None:
        self._dispatch, self.place = dispatch, training_place(threads)
        self._lessons = Lessons(int(self.place.cpus), dispatch.post.keep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lessons.__exit__(kind, error, trace)

    def lanes(self) -> int:
        """How many configurations may train at once, now."""
        return max(1, sum(self._room(node) for node in self.place.nodes()))

    def _room(self, node: Node) -> int:
        cores = int(node.has("CPU") // self.place.cpus)
        return min(cores, int(node.has("GPU"))) if self.place.gpus else cores

    def train(self, work: Work, wanted: Sequence[str]) -> None:
        """Brings the recoveries `wanted`, by digest, in the order of the schedule, into this machine's cache.

        Raises BadInput where a node cannot train it, or no node can train.
        """
        check_free()
        job = Job(_learned, (self._lessons.make(work), tuple(wanted)))
        for digest, parcel, content in self._dispatch.run([job], self.place)[0].value:
            with tempfile.TemporaryDirectory(prefix="paredown-recovery-") as folder:
                unpack(parcel, content, Path(folder))
                take_in(digest, Path(folder))

    def hear(self, work: Work, stage: Training) -> None:
        """Has every node that trains hear the teacher, the uncompressed model, so that no trial waits for it.

        A node that leaves meanwhile is told of. Raises BadInput where one cannot train.
        """
        check_free()
        lesson, nodes = self._lessons.make(work), self.place.check()
        with ThreadPoolExecutor(len(nodes)) as threads:
            for asked in [threads.submit(self._ask, node, lesson, stage) for node in nodes]:
                asked.result()

    def _ask(self, node: Node, lesson: Lesson, stage: Training) -> None:
        try:
            self._dispatch.run([Job(hear, (lesson, stage))], self.place.pinned(node))
        except RuntimeError as error:
            self._dispatch.tell(f"node {node.host} did not hear the teacher: {error}")


def _learned(lesson: Lesson, wanted: Sequence[str]) -> tuple[tuple[str, Parcel, bytes], ...]:
    """Runs on the node: the recoveries, packed; the last of them, and those before it that this node has too."""
    learn(lesson)
    return tuple((digest, *pack(recovery_folder(digest))) for digest in wanted if recovery_folder(digest).is_dir())
