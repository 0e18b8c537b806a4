"""What runs on a node: a job whose files came along, either beside others or alone on the machine."""

import os
import pickle
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.cluster.facts import Facts, fact_reader
from paredown.cluster.node_cache import unpacked
from paredown.cluster.parcels import Parcel
from paredown.cluster.travel import place_paths
from paredown.errors import BadInput
from paredown.trials.workers import ONE_BLAS_THREAD

if TYPE_CHECKING:
    from paredown.trials.timing import Device, Stopwatch


@dataclass(frozen=True)
class Request:
    """`work`: the pickled job and its arguments, paths replaced by parcels. `facts`: what this node must share with the others.

    `device`: the job runs in the timing process of this device, with the machine to itself; None: it shares the machine.
    """

    work: bytes
    parcels: tuple[Parcel, ...]
    facts: Facts
    device: "Device | None" = None


@dataclass(frozen=True)
class Answer:
    """What a job gave, or the pickled error it raised; on which Ray node, and when (seconds since the epoch) the task was there."""

    value: Any
    error: bytes | None
    node: str
    began_s: float
    ended_s: float


def perform(request: Request, *contents: bytes) -> Answer:
    """Does what is asked; `contents` are the bytes of the parcels, in their order. Errors are part of the answer."""
    os.environ.update(ONE_BLAS_THREAD)  # before anything loads a BLAS: the job is unpickled below
    import ray

    node, began_s = ray.get_runtime_context().get_node_id(), time.time()
    value, error = None, None
    try:
        _here().check(request.facts, decoding=request.device is None)
        value = _done(request, contents)
    except Exception as raised:
        error = _portable(raised)
    return Answer(value, error, node, began_s, time.time())


def _done(request: Request, contents: Sequence[bytes]) -> Any:
    with ExitStack() as stack:
        loose = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="paredown-cluster-")))
        places = []
        for number, (parcel, data) in enumerate(zip(request.parcels, contents, strict=True)):
            if parcel.suffix is None:
                places.append(stack.enter_context(unpacked(parcel, data)))
            else:
                places.append(loose / f"{number}{parcel.suffix}")
                places[-1].write_bytes(data)
        job, arguments = pickle.loads(request.work)
        arguments = place_paths(arguments, places)
        if request.device is None:
            return job(*arguments)
        _take_usual_priority()
        return _stopwatch(request.device).alone(job, *arguments)


@lru_cache(maxsize=1)
def _stopwatch(device: "Device") -> "Stopwatch":
    """The timing process of this worker, which is as clean as it is locally; it ends with the worker."""
    from paredown.trials.timing import Stopwatch

    return Stopwatch(device.threads, device.target)


def _take_usual_priority() -> None:
    """Ray makes its workers nice (15), and a nice process is slow beside anything else that runs. Raises BadInput where that stays so."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, min(0, os.getpriority(os.PRIO_PROCESS, 0)))
    except PermissionError:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        rule = "a target is measured at the usual priority: start its node with RAY_worker_niceness=0 ray start"
        raise BadInput(f"{rule}; {_here().host} runs tasks at nice {nice}") from None


@lru_cache(maxsize=1)
def _here() -> Facts:
    found = fact_reader()()
    assert isinstance(found, Facts)  # paredown is here: this is it
    return found


def _portable(error: Exception) -> bytes:
    """The error as bytes that the driver can read; one that cannot travel goes as its text."""
    if isinstance(error, OSError) and not isinstance(error, BadInput):
        error = RuntimeError(f"on node {_here().host}: {type(error).__name__}: {error}")
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return data
