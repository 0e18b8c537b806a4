"""The families of architectures that axes `width` and `rank` need, on the analysis split, from the cache where they were made before."""

from collections.abc import Sequence

from paredown.analysis.cache import AnalysisCache
from paredown.analysis.darts.alphas import SearchSettings
from paredown.analysis.darts.candidates import Kind
from paredown.analysis.darts.family import Family, describe_settings
from paredown.analysis.darts.measure import measure_family
from paredown.data import Split
from paredown.models import Model
from paredown.profilers.machine_lock import machine_share
from paredown.space.axes.members import Members
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import spread_by_length
from paredown.trials.sensitivity import read_samples
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop

UTTERANCES = 100


def find_family(
    model: Model,
    split: Split,
    workshop: Workshop,
    decoder: Decoder,
    kind: Kind,
    etas: Sequence[float],
    settings: SearchSettings,
    tell: Teller,
) -> Family:
    """The family of `model` (the studied one, or its supernet) at these etas, on at most 100 utterances spread over the lengths.

    The decoder is teacher-forced on the hypotheses of the workshop's model. Kept in the user's cache by all that it depends on.
    """
    cache, subset = AnalysisCache(), spread_by_length(split, UTTERANCES)
    depends = {**describe_settings(kind, etas, settings), "utterances": UTTERANCES, "hypotheses": workshop.model.digest}
    key = cache.key(model.digest, split.digest, depends)
    found = cache.load(key, Family)
    tell.line(f"analysis: {kind}s by DARTS, " + (f"from the cache ({found.subset})" if found else f"on {len(subset)} utterances"))
    if found is None:
        samples = read_samples(model, subset, workshop, decoder)

        def progress(done: int, total: int) -> None:
            tell.progress("penalties", done, total)

        found = measure_family(model, samples, kind, etas, settings, threads=decoder.workers, progress=progress, unit=machine_share)
        cache.store(key, found)
    return found


def members_of(family: Family) -> Members:
    """What an axis needs of a family."""
    return Members(family.paths, family.etas, family.sizes)
