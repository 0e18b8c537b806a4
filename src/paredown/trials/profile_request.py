"""How a profile is asked for in a few words, and the request that this makes."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from paredown.errors import BadInput

if TYPE_CHECKING:
    from paredown.data import Split
    from paredown.profilers.energy.protocol import Protocol
    from paredown.runtime.session import Target
    from paredown.trials.metering import EnergyRequest
    from paredown.trials.profile import Profile, ProfileRequest

Source = Literal["auto", "none", "rapl", "pyrapl", "battery", "nvml", "estimate"]
ProtocolName = Literal["quick", "on-device-st"]


def make_request(
    *,
    target: "Target" = "cpu",
    threads: int = 1,
    first: int = 32,
    quick: bool = False,
    time: str | float = "2 min",
    fixed_tokens: int = 16,
    beam_size: int | None = None,
    energy: Source = "auto",
    protocol: ProtocolName | None = None,
    tdp_w: float | None = None,
    tdp_cores: int | None = None,
    seed: int = 0,
) -> "ProfileRequest":
    """What `take_profile` is to measure. `quick`: few repeats instead of as many as make the interval narrow; `time`: most of it for
    latency.

    `energy`: what counts joules, "auto" what this machine has; `protocol`: of the energy; `tdp_w`, `tdp_cores`: of a processor package, for
    energy "estimate". Raises BadInput for what contradicts itself.
    """
    from paredown.profilers.latency import CHEAP, STRICT
    from paredown.search.units import parse_duration_s
    from paredown.trials.profile import ProfileRequest

    effort = replace(CHEAP if quick else STRICT, seconds=parse_duration_s(time, "--time"))
    return ProfileRequest(
        target=target,
        threads=threads,
        effort=effort,
        fixed_tokens=fixed_tokens,
        beam_size=beam_size,
        energy=_energy(target, energy, tdp_w, tdp_cores),
        required=energy not in ("auto", "none"),
        protocol=_protocol(protocol, energy, first),
        seed=seed,
    )


def profile_subject(subject: str, against: str | None, data: "Split", first: int, request: "ProfileRequest", named: bool) -> "Profile":
    """The profile of a bundle, or of a model as it is, beside another where there is one. Raises BadInput as `take_profile`.

    `first`: utterances of `data` to time, more where the protocol, if it was `named`, takes more.
    """
    from contextlib import ExitStack

    from paredown.trials.profile import take_profile
    from paredown.trials.subject import opened

    split = data.first(timed_utterances(len(data), first, request, named))
    with ExitStack() as stack:
        bundle: Path = stack.enter_context(opened(subject))
        reference = stack.enter_context(opened(against)) if against else None
        return take_profile(bundle, reference, split, request)


def timed_utterances(there: int, first: int, request: "ProfileRequest", named: bool) -> int:
    """How many of the utterances that are there are measured."""
    return min(there, max(first, request.protocol.utterances if named else 0))


def _energy(target: "Target", energy: Source, tdp_w: float | None, tdp_cores: int | None) -> "EnergyRequest | None":
    from paredown.trials.metering import EnergyRequest

    for name, value in (("--tdp", tdp_w), ("--tdp-cores", tdp_cores)):
        if value is not None and energy != "estimate":
            raise BadInput(f"{name} is for --energy estimate alone, got it with --energy {energy}")
    return None if energy == "none" else EnergyRequest(target, None if energy == "auto" else energy, tdp_w, tdp_cores)


def _protocol(name: ProtocolName | None, energy: Source, first: int) -> "Protocol":
    from paredown.profilers.energy.protocol import CHEAP, ON_BATTERY, ON_DEVICE_ST

    if name == "on-device-st":
        return ON_DEVICE_ST
    return ON_BATTERY if energy == "battery" else replace(CHEAP, utterances=first)
