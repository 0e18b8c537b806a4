"""A window over one source: started, looked at from a thread that sleeps nearly all the time, stopped."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from paredown.profilers.energy.base import EnergySource, EnergyUnavailable, WindowTooShort
from paredown.profilers.measurement import DetailValue


@dataclass(frozen=True)
class EnergyWindow:
    """What one window gave. `joules`: pairs of domain and J, counted domains first; `counted`: how many of the pairs add up to the
    target's energy; `seconds`: of the monotonic clock; `polls`: looks between the ends; `reading_cpu_s`: CPU time that all reading
    of counters took."""

    source: str
    joules: tuple[tuple[str, float], ...]
    counted: int
    seconds: float
    polls: int
    reading_cpu_s: float = 0.0
    detail: tuple[tuple[str, DetailValue], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.counted <= len(self.joules):
            raise ValueError(f"1 to {len(self.joules)} domains of a window must be counted, got {self.counted}")
        for domain, energy_j in self.joules:
            if not (math.isfinite(energy_j) and energy_j >= 0.0):
                raise ValueError(f"the energy of {domain} must be a number of joules of at least 0, got {energy_j}")
        if self.energy_j <= 0.0:
            raise ValueError(f"the energy of a window must be above 0 J, got {self.energy_j}")

    @property
    def energy_j(self) -> float:
        """Of the target: the counted domains together."""
        return math.fsum(energy_j for _, energy_j in self.joules[: self.counted])

    @property
    def power_w(self) -> float:
        """The mean over the window."""
        return self.energy_j / self.seconds


class Meter:
    """One window at a time: `start`, the work, `stop`. `clock`: monotonic seconds."""

    def __init__(self, source: EnergySource, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = source
        self._clock = clock
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._polls = 0
        self._reading_cpu_s = 0.0
        self._begin_s = 0.0

    def start(self) -> None:
        """Raises EnergyUnavailable when the source does."""
        if self._thread is not None:
            raise RuntimeError("a meter measures one window at a time; stop the one that runs")
        self._ended = threading.Event()
        self._failure, self._polls = None, 0
        began_cpu_s = time.thread_time()
        due_s = self.source.start()
        self._reading_cpu_s = time.thread_time() - began_cpu_s
        self._begin_s = self._clock()
        if due_s < math.inf:
            self._thread = threading.Thread(target=self._poll, args=(due_s,), name="energy", daemon=True)
            self._thread.start()

    def stop(self) -> EnergyWindow:
        """Raises EnergyUnavailable when the source did at any time of the window, or the window was too short."""
        self._end_thread()
        if self._failure is not None:
            raise self._failure
        began_cpu_s = time.thread_time()
        joules = self.source.stop()
        seconds = self._clock() - self._begin_s
        self._reading_cpu_s += time.thread_time() - began_cpu_s
        if seconds < self.source.min_window_s:
            raise WindowTooShort(f"{self.source.label} needs a window of {self.source.min_window_s:g} s at least, got {seconds:.3g} s")
        counted = self.source.counted
        pairs = [(domain, joules[domain]) for domain in counted]
        pairs += [(domain, joules[domain]) for domain in self.source.domains if domain in joules and domain not in counted]
        detail = self.source.detail()
        return EnergyWindow(self.source.name, tuple(pairs), len(counted), seconds, self._polls, self._reading_cpu_s, detail)

    def abandon(self) -> None:
        """Ends a window of which nothing is wanted: the work failed."""
        self._end_thread()

    def _end_thread(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _poll(self, due_s: float) -> None:
        began_cpu_s = time.thread_time()
        try:
            while due_s < math.inf and not self._ended.wait(min(due_s, threading.TIMEOUT_MAX)):
                due_s = self.source.poll()
                self._polls += 1
        except Exception as failure:
            self._failure = failure  # raised where the window is stopped: nobody waits for this thread before
        self._reading_cpu_s += time.thread_time() - began_cpu_s


def measure_window(source: EnergySource, work: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> EnergyWindow:
    """The energy while `work` runs. Raises EnergyUnavailable, and whatever `work` raises."""
    meter = Meter(source, clock)
    meter.start()
    try:
        work()
    except BaseException:
        meter.abandon()
        raise
    return meter.stop()


def describe_failure(error: EnergyUnavailable) -> str:
    """The reason in one line, with its kind: "CounterReset: package-0 fell …"."""
    return f"{type(error).__name__}: {error}"
