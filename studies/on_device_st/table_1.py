"""Table 1: input sizes, and the work that they leave."""

import itertools

from paredown.models.input_size import resize_input
from paredown.trials.operations import count_frames
from studies.on_device_st.inputs import hop_of, with_hop
from studies.on_device_st.judging import claim, figure, judge
from studies.on_device_st.paper import HOP_SAMPLES, NAME, TABLE_1
from studies.on_device_st.rows import WORK, tried
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Result, Row

HOP = Column("hop, samples", 0)
APART = Column("hop, ms", 2, ours_only=True)
FRAMES = Column("frames of 6 s", 0, ours_only=True)
SECONDS = 6.0


def make(bench: Bench) -> Result:
    """The hops of the paper in proportion to the model's own, and the multiply-accumulates of an utterance of 6 s in 16 steps."""
    rows = tuple(tried(name, {HOP.name: hop}, lambda name=name: _row(bench, name)) for name, hop in TABLE_1.items())
    work = [figure(row, WORK.name) for row in rows]
    falls = all(later < earlier for earlier, later in itertools.pairwise(work))
    found = " → ".join(f"{macs:.2f}" for macs in work) + " GMACs for 6 s of audio in 16 steps"
    verdict, conclusion = judge([claim("a longer hop takes less work", rows, found, falls)])
    notes = (
        f"Hops are in the paper's proportion to the model's own ({bench.model.frontend.hop_samples} samples; the paper's model: "
        f"{HOP_SAMPLES}).",
        "The decoder's steps do not become fewer with the frames, so work falls by less than they do.",
    )
    return Result(NAME, "Table 1", "Input sizes", (HOP, APART, FRAMES, WORK), rows, verdict, conclusion, notes)


def _row(bench: Bench, name: str) -> Row:
    configuration = with_hop(bench.model, name, bench.whole)
    frontend = resize_input(bench.model.frontend, configuration.input)
    hop, rate_hz = hop_of(bench.model, name), frontend.sample_rate_hz
    frames = count_frames(frontend, round(SECONDS * rate_hz))
    work = bench.macs(configuration, SECONDS) / 1e9
    ours = {HOP.name: hop, APART.name: 1000.0 * hop / rate_hz, FRAMES.name: frames, WORK.name: work}
    return Row(name, {HOP.name: TABLE_1[name]}, ours)
