"""How short and how long audio may be: the encoder's subsampling asks for some frames, and attention takes memory for every pair of them.

Audio beyond these limits is refused before anything is allocated for it.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from paredown.errors import BadInput
from paredown.runtime.features import Frontend
from paredown.runtime.numbers import is_whole

DEFAULT_LIMIT_BYTES = 4_000_000_000
_LONGEST_FRAMES = 2**31


@dataclass(frozen=True)
class MemoryNeed:
    """Upper estimate of the bytes that one utterance takes beside the weights; `paredown.bundle.memory` says how it is made.

    Bytes a feature frame, a pair of feature frames, and a node of the decoder's search (a hypothesis at one step);
    `frames_per_state`: feature frames that become one state of the encoder.
    """

    frame_bytes: float
    frame_pair_bytes: float
    node_bytes: float
    frames_per_state: int

    def __post_init__(self) -> None:
        numbers = asdict(self)
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
                raise ValueError(f"memory.{name} must be a number of at least 0, got {value!r}")
        if not is_whole(self.frames_per_state) or self.frames_per_state < 1:
            raise ValueError(f"memory.frames_per_state must be a whole number of at least 1, got {self.frames_per_state}")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        need = cls(**value)
        for name in ("frame_bytes", "node_bytes"):  # pairs take none where positions are absolute
            if not getattr(need, name) > 0:
                raise ValueError(f"memory.{name} must be above 0, got {getattr(need, name)!r}")
        return need

    def of(self, frames: int, nodes: int, places: int = 1) -> float:
        """Bytes for so many feature frames and nodes; of `places` such utterances searched together, encoded one after another."""
        return places * (self.frame_bytes * frames + self.node_bytes * nodes) + self.frame_pair_bytes * frames**2

    def longest(self, limit_bytes: float, nodes_of: Callable[[int], int], places: int = 1) -> int:
        """Most frames that take at most `limit_bytes`; `nodes_of` gives the nodes of a search over so many encoder states."""
        frames = range(_LONGEST_FRAMES)
        return bisect_right(frames, limit_bytes, key=lambda count: self.of(count, nodes_of(count // self.frames_per_state), places)) - 1


@dataclass(frozen=True)
class AudioLimits:
    """Samples that audio must and may have at the model's rate, and the memory that the longest one would take."""

    least_samples: int
    most_samples: int
    sample_rate_hz: int
    limit_bytes: int

    @property
    def longest_s(self) -> float:
        """Seconds that audio may last."""
        return self.most_samples / self.sample_rate_hz

    def check_seconds(self, seconds: float, name: str) -> None:
        """Raises BadInput, with `name`, for audio that lasts too long."""
        if seconds > self.longest_s:
            raise BadInput(
                f"audio must last at most {self.longest_s:.1f} s to be decoded in {self.limit_bytes / 1e9:g} GB (the memory limit), "
                f"got {seconds:.1f} s: {name}"
            )

    def check_samples(self, samples: int, name: str) -> None:
        """Raises BadInput, with `name`, for audio of fewer or more samples at the model's rate than it may have."""
        if samples < self.least_samples:
            raise BadInput(f"audio must have at least {self.least_samples} samples at {self.sample_rate_hz} Hz, got {samples}: {name}")
        self.check_seconds(samples / self.sample_rate_hz, name)


def find_limits(
    need: MemoryNeed,
    frontend: Frontend,
    least_frames: int,
    nodes_of: Callable[[int], int] | None,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    places: int = 1,
) -> AudioLimits:
    """How long audio may be. `nodes_of`: as `MemoryNeed.longest` takes it, None where no decoder takes part; `places`: searched together.

    Raises BadInput if the memory limit lets no audio pass.
    """
    least_samples = frontend.least_samples(least_frames)
    if isinstance(limit_bytes, bool) or not isinstance(limit_bytes, int | float):
        raise BadInput(f"a memory limit must be a number of bytes, got {limit_bytes!r}")
    longest = need.longest(limit_bytes, nodes_of or (lambda states: 0), places) if limit_bytes > 0 else 0
    if longest * frontend.hop_samples < least_samples:
        together = f" of each of {places} searched together" if places > 1 else ""
        raise BadInput(f"the memory limit must leave room for {least_samples} samples of audio{together}, got {limit_bytes / 1e9:g} GB")
    return AudioLimits(least_samples, longest * frontend.hop_samples, frontend.sample_rate_hz, limit_bytes)
