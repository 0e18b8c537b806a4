"""Worker processes that go when their parent goes, and that are replaced when they die.

The kernel kills a process that takes too much memory, and a user may kill one by mistake. A process pool of the standard library is broken
for good then, and every job in it is lost. Here each process has a pipe of its own and a thread that looks after it, so what a death costs
is known exactly: the one job that the process was at. A fresh process repeats it; the others do not notice.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar

PARENT_POLL_S = 0.5
WAKE_S = 0.5  # how late Ctrl-C may be noticed
MOST_DEATHS = 2  # of one job's workers, in a row; then the job itself is taken for the cause
# NumPy's BLAS would start a thread for each core in every worker, for products of microseconds: decoding took twice as long, and a latency
# "with one thread" had two. A BLAS reads this when it is loaded, so it must be set before the worker starts.
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}
Result = TypeVar("Result")


class WorkerDied(RuntimeError):
    """The processes that worked at a job died, one after the other."""


class _Died(Exception):
    """A process died, with this exit code: minus the signal where one killed it."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class _Remote(Exception):
    """The traceback of an exception in a worker, as its cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class Workers:
    """`count` fresh (spawned) processes, started when they are needed: they import only what their jobs import, and have one BLAS thread
    each. A context manager; several threads may use it at once.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"there must be at least 1 worker, got {count}")
        self.count = count
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._keepers: list[threading.Thread] = []
        self._jobs: set[_Job] = set()  # those being worked at
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """Does `function(*arguments)` in a worker; both must pickle. The future raises what the function raises.

        A job whose worker dies is repeated in a fresh one. The future raises WorkerDied where that one died at it too, and CancelledError
        where the workers were closed meanwhile.
        """
        job = _Job(function, arguments)
        with self._lock:
            if self._closed:
                raise RuntimeError("workers take no job after they were closed")
            if len(self._keepers) < self.count:
                self._keepers.append(threading.Thread(target=self._keep, daemon=True))
                self._keepers[-1].start()
            self._queue.put(job)
        return job.future

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """What `function(*arguments)` gives in a worker. Whatever interrupts the wait (Ctrl-C) ends the worker: nothing computes behind."""
        return self.map(function, [arguments])[0]

    def map(self, function: Callable[..., Result], many: Iterable[tuple[Any, ...]]) -> list[Result]:
        """What `function` gives for each tuple of arguments, in their order. Once one fails, or the wait is interrupted, the rest ends."""
        futures = [self.submit(function, *arguments) for arguments in many]
        try:
            return [_result(future) for future in futures]
        except BaseException:
            self._abandon(set(futures))
            raise

    def close(self, now: bool = False) -> None:
        """Ends the processes, after what they are at, or `now`: the jobs raise CancelledError then. A second call does nothing."""
        with self._lock:
            self._closed = True
            keepers, working = tuple(self._keepers), {job.future for job in self._jobs}
        self._drop_queued()
        if now:
            self._abandon(working)
        for _ in keepers:
            self._queue.put(None)
        for keeper in keepers:
            keeper.join()
        self._drop_queued()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close(now=kind is not None)

    def _drop_queued(self) -> None:
        try:
            while True:
                job = self._queue.get_nowait()
                if job is not None:
                    job.future.cancel()
        except Empty:
            return

    def _abandon(self, futures: "set[Future[Any]]") -> None:
        """Ends the processes at these jobs, and waits for the end; others go on."""
        for future in futures:
            future.cancel()
        with self._lock:
            for job in self._jobs:
                if job.future in futures:
                    job.abandoned = True
                    if job.process is not None:
                        job.process.kill()
        wait([future for future in futures if not future.cancelled()])  # what never began is cancelled without further notice

    def _keep(self) -> None:
        """One thread looks after one process at a time."""
        process: _Process | None = None
        while (job := self._queue.get()) is not None:
            with self._lock:
                if not job.future.set_running_or_notify_cancel():
                    continue
                self._jobs.add(job)
            try:
                process = self._work(job, process)
            finally:
                with self._lock:
                    self._jobs.discard(job)
        if process is not None:
            process.end()

    def _work(self, job: "_Job", process: "_Process | None") -> "_Process | None":
        """Finishes a job, with as many processes as that takes; gives the one that lives, if any."""
        deaths = 0
        while True:
            try:
                process = self._assign(job, process)
                succeeded, value = process.do(job.function, job.arguments)
            except _Died as death:
                process, deaths = None, deaths + 1
                if job.abandoned:
                    job.future.set_exception(CancelledError())
                elif deaths == MOST_DEATHS:
                    job.future.set_exception(WorkerDied(f"a worker process died {_times(deaths)} ({_cause(death.exit_code)})"))
                else:
                    continue
            except BaseException as error:  # could not be pickled, or no process could be started
                job.future.set_exception(error)
            else:
                if succeeded:
                    job.future.set_result(value)
                else:
                    job.future.set_exception(value)
            job.process = None
            return process

    def _assign(self, job: "_Job", process: "_Process | None") -> "_Process":
        """The process, or a fresh one where it died between two jobs."""
        if process is None or not process.lives:
            process = _Process()
        with self._lock:
            job.process = process
            if job.abandoned:
                process.kill()
        return process


@dataclass(eq=False)
class _Job:
    """`abandoned`: nobody waits for it any more, so it is not repeated. `process`: what works at it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: "Future[Any]" = field(default_factory=Future)
    process: "_Process | None" = None
    abandoned: bool = False


class _Process:
    """One worker process and the pipe to it."""

    # Starting a process also reaps others that ended; if two threads reap the same one, one of them never learns its exit code.
    _reaping = threading.Lock()

    def __init__(self) -> None:
        os.environ.update(ONE_BLAS_THREAD)  # for the children: the BLAS of this process is loaded already
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        # A daemon, so that a parent that ends without closing its workers does not wait for them for ever.
        self._process = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        with self._reaping:
            self._process.start()
        theirs.close()  # now the pipe ends when the process does

    @property
    def lives(self) -> bool:
        with self._reaping:
            return self._process.is_alive()

    def do(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
        """Whether the job succeeded, and its value or exception. Raises _Died if the process dies meanwhile."""
        request = pickle.dumps((function, arguments))
        try:
            self._pipe.send_bytes(request)
            answer = self._pipe.recv_bytes()
        except (EOFError, OSError):
            self.kill()
            raise _Died(self._ended()) from None
        succeeded, value, trace = pickle.loads(answer)
        if not succeeded:
            value.__cause__ = _Remote(trace)
        return succeeded, value

    def kill(self) -> None:
        """Ends it at once; a second call does nothing."""
        self._process.kill()

    def end(self) -> None:
        """Lets it end by itself: it stands between two jobs."""
        self._pipe.close()
        self._ended()

    def _ended(self) -> int | None:
        with self._reaping:
            self._process.join()
        self._pipe.close()
        return self._process.exitcode


def _serve(pipe: Connection, parent: int) -> None:
    """In the worker: does what comes through the pipe until it ends. The parent alone answers Ctrl-C and a closed terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    while True:
        try:
            request = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        answer = _answer(request)
        try:
            pipe.send_bytes(answer)
        except OSError:
            return


def _answer(request: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(request)
        return pickle.dumps((True, function(*arguments), ""))
    except BaseException as error:
        return _failed(error)


def _failed(error: BaseException) -> bytes:
    """An exception that does not survive the way is told by its text."""
    trace = traceback.format_exc()
    try:
        answer = pickle.dumps((False, error, trace))
        pickle.loads(answer)
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}"), trace))
    return answer


def _end_with(parent: int) -> None:
    """A worker whose parent died ends itself, in the middle of a job too."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)


def _result(future: "Future[Result]") -> Result:
    """Waits in short steps: of two signals at once, one may reach a thread that cannot answer it, and no step would ever end."""
    while True:
        try:
            return future.result(timeout=WAKE_S)
        except TimeoutError:
            if future.done():
                return future.result()


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


def _cause(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"exit code {exit_code}"
    return f"killed by signal {-exit_code}" + ("; out of memory?" if exit_code == -signal.SIGKILL else "")
