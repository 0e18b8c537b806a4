"""The systems of Table 1 as configurations of one model: narrower and factorized feed-forwards of the encoder, by hand or by search."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from paredown.quality.metrics import sign
from paredown.space.axes.members import Members
from paredown.space.axes.rank import RankAxis
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory
from paredown.space.operations import count_parameters
from studies.conformer_4bit.measured import metric_of
from studies.conformer_4bit.search import Job, Sizes, learn_sizes
from studies.reproduction.bench import Bench

BEAM = 4  # of the search in all rows alike, for speed: a beam of 10 takes about twice as long
ETAS, RANK_ETA = (0.01, 0.03, 0.1), 0.03  # nats for a million parameters
TOLERANCE = 1.0  # points of the score on analysis that system 11 may lose: the largest eta that keeps to it is taken
JOBS = (
    Job("width", "gumbel", 0.0),
    *(Job("width", "gumbel", eta) for eta in ETAS),
    *(Job("width", "plain", eta) for eta in ETAS),
    Job("rank", "gumbel", RANK_ETA),
)
BOTTLENECK = 160 / 256  # of the model's width: the paper's systems 6 to 9
PATTERNS = {6: None, 7: "SLLL", 8: "SLLS", 9: "LSSL"}
FINE_STEPS, RATE, BATCH_S = 60, 2e-4, 30.0


def baseline(bench: Bench) -> Configuration:
    """System 1: the uncompressed model, decoded with the study's beam."""
    return replace(bench.whole, decode=replace(bench.whole.decode, beam_size=BEAM))


def encoder_units(inventory: Inventory) -> Sizes:
    """Hidden units of every feed-forward of the encoder."""
    return {path: units for path, units in inventory.feed_forwards.items() if path.startswith("encoder.")}


def narrowed(base: Configuration, inventory: Inventory, sizes: Mapping[str, int]) -> Configuration:
    """With these hidden units; a feed-forward that keeps all is not named."""
    whole = inventory.feed_forwards
    return replace(base, width=tuple((path, units) for path, units in sizes.items() if units < whole[path]))


def uniform(base: Configuration, inventory: Inventory, share: float) -> Configuration:
    """The same share of hidden units in every feed-forward of the encoder."""
    return narrowed(base, inventory, {path: max(1, round(share * units)) for path, units in encoder_units(inventory).items()})


def uniform_rival(base: Configuration, inventory: Inventory, parameters: int) -> Configuration:
    """As many hidden units everywhere in the encoder as make at least so many parameters, and not one more."""
    units_of = encoder_units(inventory)
    for units in range(1, max(units_of.values()) + 1):
        rival = narrowed(base, inventory, {path: min(units, most) for path, most in units_of.items()})
        if count_parameters(inventory, rival) >= parameters:
            return rival
    return base


def factorized(base: Configuration, inventory: Inventory) -> Configuration:
    """The paper's bottleneck in every matrix of the encoder's feed-forwards, in the same proportion to the model's width."""
    ranks = {}
    for path in encoder_units(inventory):
        width = min(inventory.by_path[f"{path}.w_1"].shape)
        ranks |= {f"{path}.{role}": max(1, round(BOTTLENECK * width)) for role in ("w_1", "w_2")}
    return replace(base, rank=tuple(ranks.items()))


def ranked(base: Configuration, inventory: Inventory, ranks: Sizes) -> Configuration:
    """With the ranks of a search, where two factors are smaller than the matrix that is left."""
    members = Members(tuple(ranks), (RANK_ETA,), (tuple(ranks.values()),))
    return RankAxis(inventory, members, RANK_ETA, RANK_ETA).resolve({"rank.eta": RANK_ETA}, base)


@dataclass(frozen=True)
class Searched:
    """Systems 10 to 14, the eta of system 11, that of the plain softmax that came nearest to it in parameters, and its uniform rival."""

    configurations: Mapping[int, Configuration]
    eta: float
    plain_eta: float
    rival: Configuration


def searched(bench: Bench) -> Searched:
    """All systems that a search finds. System 14 has the widths of 11 and the ranks of 13."""
    base, inventory = baseline(bench), bench.model.inventory()
    free, *penalized, ranks = learn_sizes(bench, base, JOBS)
    networks = [narrowed(base, inventory, sizes) for sizes in penalized]
    gumbel, plain = dict(zip(ETAS, networks, strict=False)), dict(zip(ETAS, networks[len(ETAS) :], strict=True))
    eta = pick_eta({each: lost_on_analysis(bench, network, base) for each, network in gumbel.items()})
    eleven, size = gumbel[eta], count_parameters(inventory, gumbel[eta])
    nearest = min(plain, key=lambda each: abs(count_parameters(inventory, plain[each]) - size))
    found = {10: narrowed(base, inventory, free), 11: eleven, 12: plain[nearest]}
    found |= {13: ranked(base, inventory, ranks), 14: ranked(eleven, inventory, ranks)}
    return Searched(found, eta, nearest, uniform_rival(base, inventory, size))


def lost_on_analysis(bench: Bench, candidate: Configuration, base: Configuration) -> float:
    """Points by which a candidate is worse on *analysis*, whatever the metric's direction."""
    metric = metric_of(bench)
    return -sign(metric) * bench.beside(metric, candidate, base, bench.analysis).value


def pick_eta(losses: Mapping[float, float]) -> float:
    """The largest eta whose loss is tolerated; the smallest one where none is."""
    return max((eta for eta, loss in losses.items() if loss <= TOLERANCE), default=min(losses))


def low_rank(bench: Bench, number: int) -> Configuration:
    """Systems 6 to 9: factors trained for a few steps, some of them semi-orthogonal. Raises ValueError without a train split."""
    stage = bench.stage("fine-tune", FINE_STEPS, RATE, seed=0, batch_s=BATCH_S, semi_orthogonal=PATTERNS[number])
    return bench.trained(factorized(baseline(bench), bench.model.inventory()), stage)
