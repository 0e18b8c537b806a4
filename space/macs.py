"""How often operations run for one utterance, and the multiply-accumulates that makes: exact integers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from paredown.space.operations import Operation, Structure


@dataclass(frozen=True)
class Step:
    """One step of the decoder: its hypotheses, and the nodes that the pool holds before it (each step adds one a hypothesis)."""

    hypotheses: int
    nodes: int

    def __post_init__(self) -> None:
        if self.hypotheses < 1 or self.nodes < 0:
            raise ValueError(f"a step has at least 1 hypothesis and 0 nodes, got {self.hypotheses} and {self.nodes}")


@dataclass(frozen=True)
class Workload:
    """One utterance: its feature frames and the steps of the search."""

    frames: int
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"frames must be at least 1, got {self.frames}")

    @classmethod
    def fixed(cls, frames: int, tokens: int, beam: int) -> Self:
        """A search of exactly `tokens` steps: one hypothesis first, then a full beam.

        No node is taken to be thrown out, so this is the most that a search can cost: the runtime throws out nodes that no hypothesis
        descends from any more, and which those are only the weights and the audio say.
        """
        if tokens < 0 or beam < 1:
            raise ValueError(f"a search has at least 0 tokens and a beam of 1, got {tokens} and {beam}")
        return cls(frames, tuple(Step(1, 0) if index == 0 else Step(beam, 1 + (index - 1) * beam) for index in range(tokens)))


@dataclass(frozen=True)
class Units:
    """How many there are of what operations count by, for one utterance of one network."""

    frames: int
    states: int
    positions: int
    hypotheses: int
    node_pairs: int
    steps: int

    @classmethod
    def of(cls, operations: Iterable[Operation], structure: Structure, workload: Workload) -> Self:
        """Raises ValueError if the utterance is too short for the subsampling."""
        whole: tuple[tuple[int, int], ...] = max((operation.image for operation in operations), key=len, default=())
        states = image_rows(workload.frames, whole)
        if states < 1:
            raise ValueError(f"an utterance must have frames enough for the subsampling, got {workload.frames}")
        steps = workload.steps
        return cls(
            frames=workload.frames,
            states=states,
            positions=2 * states if structure.positions == "relative" else states,
            hypotheses=sum(step.hypotheses for step in steps),
            node_pairs=sum(step.hypotheses * (step.nodes + step.hypotheses) for step in steps),
            steps=len(steps),
        )

    def count(self, operation: Operation) -> int:
        """How many there are of what the operation counts by, in the whole utterance."""
        match operation.per:
            case "image_row":
                return image_rows(self.frames, operation.image)
            case "state":
                return self.states
            case "position":
                return self.positions
            case "state_pair":
                return self.states**2
            case "position_pair":
                return self.states * self.positions
            case "hypothesis":
                return self.hypotheses
            case "node_pair":
                return self.node_pairs
            case "memory_pair":
                return self.hypotheses * self.states

    def calls(self, operation: Operation) -> int:
        """How often the operation is called."""
        return self.steps if operation.is_step else 1


def image_rows(frames: int, image: Iterable[tuple[int, int]]) -> int:
    """Rows of an image of `frames` rows behind convolutions of these (kernel, stride), without padding."""
    for kernel, stride in image:
        frames = (frames - kernel) // stride + 1
    return frames


def macs(operations: Iterable[Operation], structure: Structure, workload: Workload) -> int:
    """Multiply-accumulates of one utterance: of the network, its features not counted."""
    operations = tuple(operations)
    units = Units.of(operations, structure, workload)
    return sum(operation.macs * units.count(operation) for operation in operations)
