"""Sensitivities corrected around the averages of a study (`bits.rounds`), from the cache where they were measured before."""

from collections.abc import Mapping, Sequence
from functools import cache, partial

import numpy as np

from paredown.analysis.resolved import Resolved
from paredown.analysis.result import Analysis
from paredown.data import Split
from paredown.models import Model
from paredown.profilers.machine_lock import machine_share
from paredown.search.space_section import BitsAxisSpec
from paredown.space.axes.bit_rules import BitRules
from paredown.space.axes.bits import BitsAxis, Survivors, Table
from paredown.space.configuration import MAX_BITS, Configuration
from paredown.space.inventory import Inventory
from paredown.trials.cached import cached
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import spread_by_length
from paredown.trials.resolving import Truth, solve_again
from paredown.trials.sensitivity import read_samples
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop

ANCHORS = 4
_MOST_AVERAGE = 5.0  # above it the additive table is near to the truth, and there is little to lose
_REACH = 1.0  # bits above the last anchor at which the additive table holds again
_HEARD, _JUDGES = 20, 60  # utterances


def anchors_of(spec: BitsAxisSpec) -> tuple[float, ...]:
    """The averages around which the table is corrected: at most four, evenly from the lowest on."""
    low, high = spec.average
    return tuple(sorted({round(float(average), 3) for average in np.linspace(low, max(low, min(high, _MOST_AVERAGE)), ANCHORS)}))


def make_bits_axis(
    spec: BitsAxisSpec,
    inventory: Inventory,
    analysis: Analysis,
    corrected: Mapping[float, Table] | None = None,
    survivors: Survivors | None = None,
) -> BitsAxis:
    """The axis as a study file asks for it; arguments and errors as in `BitsAxis`."""
    table, rules = table_of(spec, analysis), rules_of(spec)
    return BitsAxis(inventory, analysis.paths, spec.choices, table, *spec.average, rules=rules, corrected=corrected, survivors=survivors)


def rules_of(spec: BitsAxisSpec) -> BitRules:
    """What the study asks of bit-widths beside their average."""
    return BitRules.of(spec.least, spec.fixed, spec.same)


def table_of(spec: BitsAxisSpec, analysis: Analysis) -> Table:
    """The sensitivities [layers, choices] of the bit-widths to choose from."""
    return np.ascontiguousarray(analysis.kl[:, [analysis.widths.index(width) for width in spec.choices]])


def tables_around(spec: BitsAxisSpec, analysis: Analysis, corrected: Sequence[Resolved]) -> dict[float, Table]:
    """The table of every average that one was corrected around, and above the last of them the additive one; nothing without any.

    A table around few bits says little of many: there it can be worse than the additive one.
    """
    tables = {found.average: found.table for found in corrected}
    if tables and max(tables) < spec.average[1]:
        tables[max(tables) + _REACH] = table_of(spec, analysis)
    return tables


def correct(
    spec: BitsAxisSpec, analysis: Analysis, model: Model, split: Split, workshop: Workshop, decoder: Decoder, tell: Teller
) -> tuple[Resolved, ...]:
    """What solving again leaves at every anchor: one KL table and a few passes a round and anchor.

    Tables are made on as many utterances as the first one's, allocations judged on more of the split.
    """

    def progress(done: int, total: int) -> None:
        tell.progress("layers", done, total)

    @cache  # of all anchors one, and none where the cache holds them all
    def truth(subset: Split) -> Truth:
        samples, judges = (read_samples(model, heard, workshop, decoder) for heard in (subset, spread_by_length(split, _JUDGES)))
        return Truth(model.network, samples, judges, model.sos, threads=decoder.workers, progress=progress, unit=machine_share)

    def measure(average: float, subset: Split) -> Resolved:
        def choose(candidate: Table) -> Mapping[str, int]:
            axis = make_bits_axis(spec, model.inventory(), analysis, {average: candidate})
            found = axis.resolve({"bits.average": average}, Configuration()).bits
            return {path: bits for path, bits in found if bits <= MAX_BITS}

        return solve_again(table_of(spec, analysis), analysis.paths, spec.choices, average, choose, truth(subset), spec.rounds)

    found = []
    for average in anchors_of(spec):
        keys = {"average": average, "judges": _JUDGES, **spec.model_dump(mode="json", exclude={"average", "method"})}
        what = f"bit-widths at {average:g} bits, solved again"
        one = cached(model, split, what, Resolved, keys, _HEARD, partial(measure, average), tell)
        first = one.attempts[0]
        tell.line(f"  KL in nats: predicted {first.predicted:.3g}, measured {first.measured:.3g}, solved again {one.best.measured:.3g}")
        found.append(one)
    return tuple(found)
