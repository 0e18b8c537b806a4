"""Who does the work of a study: processes of this machine, or a cluster."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import cast

from paredown.profilers.fingerprint import Fingerprint, read_fingerprint
from paredown.search.spec import StudySpec
from paredown.search.spec import Target as TargetName
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import Target
from paredown.trials.metering import EnergyRequest
from paredown.trials.recoveries import Elsewhere
from paredown.trials.teller import Teller
from paredown.trials.timing import Stopwatch


@dataclass(frozen=True)
class Power:
    """`decoder` decodes, `stopwatch` measures on the target, `machine` is the target. `others`: further targets.

    The cluster's decoder and stopwatch do what those of this machine do, whose types stand for both.
    `instructions`: instruction sets of the processors that decode, which decide how int8 products are computed. `lanes`: how many trials
    there may be at once. `here`: whether all of it is this machine. `elsewhere`: other machines that train, where a study trains.
    """

    decoder: Decoder
    stopwatch: Stopwatch
    machine: Fingerprint
    instructions: tuple[str, ...]
    lanes: Callable[[], int]
    others: tuple[Target, ...] = ()
    here: bool = True
    elsewhere: Elsewhere | None = None

    @property
    def decoding(self) -> Fingerprint:
        """What hypotheses are made on, as records name it: versions are the same everywhere, instruction sets need not be."""
        return replace(self.machine, instructions=self.instructions)

    def check_energy(self, request: EnergyRequest) -> str:
        """Name and method of the source on the target. Raises BadInput, with what to do about it, where the target does not have it."""
        return request.check() if self.here else self.stopwatch.alone(request.check)


@contextmanager
def open_power(spec: StudySpec, ray: str | None, tell: Teller | None = None) -> Iterator[Power]:
    """Until the block ends. `ray`: address of a cluster, None for this machine alone; `tell` hears of its nodes.

    Raises BadInput where that cannot be used.
    """
    with ExitStack() as held:
        yield _this_machine(spec, held) if ray is None else _cluster(spec, ray, held, tell)


def _further(spec: StudySpec) -> list[TargetName]:
    """Targets beside the usual one."""
    return [target for target in spec.objectives.latency if target != "cpu"]


def _this_machine(spec: StudySpec, held: ExitStack) -> Power:
    threads = spec.target.threads
    decoder, stopwatch = held.enter_context(Decoder()), held.enter_context(Stopwatch(threads))
    decoder.warm_up()
    machine = read_fingerprint(threads)
    others = [Target(name, held.enter_context(Stopwatch(threads, name)), read_fingerprint(threads, name)) for name in _further(spec)]
    return Power(decoder, stopwatch, machine, machine.instructions, lambda: 1, tuple(others))


def _cluster(spec: StudySpec, address: str, held: ExitStack, tell: Teller | None) -> Power:
    from paredown.cluster.connection import connect

    threads = spec.target.threads
    cluster = held.enter_context(connect(address, threads, (lambda line: None) if tell is None else tell.line))

    def stopwatch(target: TargetName) -> Stopwatch:
        return cast(Stopwatch, cluster.stopwatch(threads, target))

    others = [Target(name, stopwatch(name), cluster.fingerprint(threads, name)) for name in _further(spec)]
    decoder, machine = cast(Decoder, cluster.decoder()), cluster.fingerprint(threads)
    trainer, lanes = None, cluster.lanes
    if spec.recovery is not None:
        import torch

        trainer = held.enter_context(cluster.trainer(torch.get_num_threads()))
        lanes = trainer.lanes
    return Power(decoder, stopwatch("cpu"), machine, cluster.instructions, lanes, tuple(others), here=False, elsewhere=trainer)
