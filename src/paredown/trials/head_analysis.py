"""What each attention head of a model is worth, on the analysis split, from the cache where it was measured before."""

import time

from paredown.analysis.heads import HeadDivergences, measure_heads
from paredown.data import Split
from paredown.models import Model
from paredown.profilers.machine_lock import machine_share
from paredown.trials.cached import cached
from paredown.trials.decoding import Decoder
from paredown.trials.sensitivity import read_samples
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop

UTTERANCES = 20


def analyse_heads(
    model: Model, split: Split, workshop: Workshop, decoder: Decoder, tell: Teller, utterances: int = UTTERANCES
) -> HeadDivergences:
    """The divergence of removing every head alone, teacher-forced on the uncompressed bundle's own hypotheses."""

    def measure(subset: Split) -> HeadDivergences:
        began, heads = time.monotonic(), dict(model.inventory().heads)
        samples = read_samples(model, subset, workshop, decoder)

        def progress(done: int, total: int) -> None:
            tell.progress("attentions", done, total)

        found = measure_heads(model.network, heads, samples, model.sos, threads=decoder.workers, progress=progress, unit=machine_share)
        return HeadDivergences(found, f"heads on {len(subset)} utterances", time.monotonic() - began)

    return cached(model, split, "KL of removing every attention head", HeadDivergences, {}, utterances, measure, tell)
