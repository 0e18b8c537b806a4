"""Latency of bundles, timed on the node that carries the target, in a process of its own there, one measurement at a time."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from paredown.cluster.dispatch import Dispatch, Job
from paredown.cluster.nodes import on_target
from paredown.cluster.tasks import Answer
from paredown.data import Split
from paredown.profilers.latency import Effort, Latency
from paredown.profilers.machine_lock import check_free
from paredown.trials.timing import Device, Timed, _time

if TYPE_CHECKING:
    from paredown.runtime.session import Target

Result = TypeVar("Result")


class RayStopwatch:
    """As `Stopwatch`, on another machine. Threads may share it: their measurements wait for each other."""

    def __init__(self, dispatch: Dispatch, threads: int, target: "Target" = "cpu") -> None:
        """Raises BadInput, with how to start one, where no node carries the target."""
        self.device = Device(threads, target)
        self._dispatch, self._place = dispatch, on_target(target)
        self._place.check()

    @property
    def threads(self) -> int:
        return self.device.threads

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """The cluster is closed by whoever connected to it."""

    def time(
        self, candidates: Mapping[str, Timed], split: Split, effort: Effort, *, fixed_tokens: int | None, seed: int
    ) -> dict[str, Latency]:
        """As `Stopwatch.time`."""
        files = tuple(utterance.audio for utterance in split.utterances)
        return self.alone(_time, dict(candidates), files, effort, fixed_tokens, seed, self.device)

    def alone(self, job: Callable[..., Result], *arguments: Any) -> Result:
        """What `job` gives on the target, which it has to itself meanwhile; the files that `arguments` name are brought there."""
        result: Result = self.measure(job, *arguments).value
        return result

    def measure(self, job: Callable[..., Any], *arguments: Any) -> Answer:
        """As `alone`, with where and when it ran.

        A target that leaves is waited for; raises BadInput where it does not come back, and RuntimeError where this thread holds the
        machine already.
        """
        check_free()
        return self._dispatch.run([Job(job, arguments)], self._place, self.device)[0]
