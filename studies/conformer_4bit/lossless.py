"""Which compression costs nothing: non-inferiority on test, in an order that was fixed beforehand, up to the first that fails."""

from collections.abc import Mapping

from paredown.quality import NonInferiority
from paredown.quality.confirm import Confirmation, confirm_in_order
from paredown.space.configuration import Configuration
from studies.conformer_4bit.measured import Size, non_inferior
from studies.reproduction.bench import Bench

Confirmed = Confirmation[str, NonInferiority]


def confirm(bench: Bench, claims: Mapping[str, Configuration], base: Configuration) -> Confirmed:
    """The claims, from mild to aggressive."""
    return confirm_in_order(claims, lambda name: non_inferior(bench, claims[name], base))


def least_margin(bench: Bench, base: Configuration) -> float:
    """The smallest margin, in points, that so many utterances can confirm: what a system may lose that says the same as the baseline."""
    return non_inferior(bench, base, base).upper95


def tell_confirmed(found: Confirmed, sizes: Mapping[str, Size], whole: Size, least: float = 0.0) -> str:
    """The last claim that was confirmed, with its ratios, or the first that failed, or why none can pass (`least`: see `least_margin`)."""
    if found.confirmed:
        last = found.confirmed[-1]
        return f"{last} ({tell_ratios(sizes[last], whole)})"
    name, verdict = found.tested[0]
    if least >= verdict.margin:
        return f"nothing, as {verdict.utterances} utterances can confirm no margin below {least:.2f} points and it is {verdict.margin:g}"
    return f"none, {name} already may lose {verdict.upper95:.2f} points (margin {verdict.margin:g})"


def ratios(size: Size, whole: Size) -> tuple[float, float, float]:
    """How many times smaller than the uncompressed model at 4 bytes a parameter: nominal bits, weight bytes, bundle bytes."""
    original = 4 * whole.parameters
    return original / size.nominal_bytes, original / size.weight_bytes, original / size.bundle_bytes


def tell_ratios(size: Size, whole: Size) -> str:
    """The three ratios in words."""
    nominal, weights, bundle = ratios(size, whole)
    return f"{nominal:.1f} in nominal bits, {weights:.1f} in weight bytes, {bundle:.1f} in bundle bytes"
