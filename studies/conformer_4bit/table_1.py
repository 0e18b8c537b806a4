"""Table 1: narrower and factorized feed-forwards of the encoder, by hand and by differentiable search."""

import time
from collections.abc import Callable, Iterator, Sequence

from paredown.quality import Difference
from paredown.space.configuration import Configuration
from studies.conformer_4bit.measured import JUDGEMENTS, PARAMETERS, PRICE, both, gain, judged, parameters_of, score_column, sized, told
from studies.conformer_4bit.paper import STUDY, TABLE_1, System
from studies.conformer_4bit.search import STEPS
from studies.conformer_4bit.supernet import compare_softmaxes
from studies.conformer_4bit.systems import (
    BEAM,
    ETAS,
    FINE_STEPS,
    PATTERNS,
    RANK_ETA,
    TOLERANCE,
    Searched,
    baseline,
    low_rank,
    searched,
    uniform,
)
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Figure, Result, Row, Verdict

LARGER = {4: "feed-forwards wider than the baseline's cannot be inherited from it", 5: "as system 4"}
NO_TRAIN = "factors need training, and there is no train split"
SHARES = {2: 1024 / 4096, 3: 2048 / 4096}
SLACK = 1.02  # systems whose parameters differ by less count as equal in size


def make(bench: Bench) -> Result:
    """All systems, the rival of system 11, and the searches' comparison on a supernet where there is one."""
    found = searched(bench)
    rows = [_row(bench, system, found) for system in TABLE_1]
    rows.append(_measure(bench, "uniform widths of system 11's size", lambda: found.rival))
    eleven, twelve = found.configurations[11], found.configurations[12]
    difference, rival = gain(bench, eleven, twelve), gain(bench, eleven, found.rival)
    sizes = [sized(bench, each).parameters / 1e6 for each in (eleven, twelve)]
    again = compare_softmaxes(bench)
    rows += again.rows
    verdict = judge_softmax([(difference, sizes[0], sizes[1]), *again.pairs])
    conclusion = (
        "The paper finds Gumbel-softmax search better than a plain softmax at one size (systems 11, 12); here, above 0 is better, "
        f"system 11 ({sizes[0]:.2f}M) against 12 ({sizes[1]:.2f}M) gains {told(difference)}, and against uniform widths of its size "
        f"{told(rival)}{again.words}{_patterns(bench)}."
    )
    own = score_column(bench)
    extra = tuple(column for column in again.columns if column.name != own.name)
    columns = (Column(PRICE, 3), own, *extra, *JUDGEMENTS, Column(PARAMETERS))
    settings = {"beam": float(BEAM), "steps of a search": float(STEPS), "steps of training factors": float(FINE_STEPS)}
    title = "architecture compression of the encoder"
    return Result(STUDY, "Table 1", title, columns, tuple(rows), verdict, conclusion, tuple(_notes(bench, found)), settings)


def judge_softmax(pairs: Sequence[tuple[Difference, float, float]]) -> Verdict:
    """Whether Gumbel softmax is better than a plain one: paired gains (above 0: better), parameters of both systems in millions.

    A pair shows it where the whole interval is above 0 and the system by Gumbel softmax is no larger; it holds where all pairs (systems 11
    and 12, and those of the supernet) show it, in part where one does.
    """
    shown = [difference.ci95[0] > 0 and gumbel <= SLACK * plain for difference, gumbel, plain in pairs]
    return "holds" if all(shown) else "holds in part" if any(shown) else "does not hold"


def _patterns(bench: Bench) -> str:
    """What the place of the semi-orthogonal factors is worth; nothing without a train split."""
    if bench.data is None:
        return ""
    return f"; factors of pattern SLLS (8) against LSSL (9) gain {told(gain(bench, low_rank(bench, 8), low_rank(bench, 9)))}"


def _row(bench: Bench, system: System, found: Searched) -> Row:
    paper: dict[str, Figure] = {score_column(bench).name: system.wer, PARAMETERS: both(system.parameters, system.encoder_parameters)}
    paper |= {} if system.eta is None else {PRICE: system.eta}
    name = f"{system.number} {system.what}"
    if system.number in LARGER:
        return Row(name, paper, not_run=LARGER[system.number])
    if system.number in PATTERNS and bench.data is None:
        return Row(name, paper, not_run=NO_TRAIN)
    row = _measure(bench, name, lambda: _configuration(bench, system.number, found))
    etas = {10: 0.0, 11: found.eta, 12: found.plain_eta, 13: RANK_ETA, 14: found.eta}
    price = {PRICE: etas[system.number]} if system.number in etas else {}
    return Row(name, paper, {**price, **row.ours}, row.intervals, seconds=row.seconds)


def _configuration(bench: Bench, number: int, found: Searched) -> Configuration:
    base = baseline(bench)
    if number == 1:
        return base
    if number in SHARES:
        return uniform(base, bench.model.inventory(), SHARES[number])
    return low_rank(bench, number) if number in PATTERNS else found.configurations[number]


def _measure(bench: Bench, name: str, make_one: Callable[[], Configuration]) -> Row:
    bench.tell.line(name)
    began = time.monotonic()
    configuration = make_one()
    ours, intervals = judged(bench, configuration, baseline(bench))
    ours[PARAMETERS] = parameters_of(sized(bench, configuration))
    return Row(name, {}, ours, intervals, seconds=time.monotonic() - began)


def _notes(bench: Bench, found: Searched) -> Iterator[str]:
    most = max(bench.model.inventory().feed_forwards.values())
    width = bench.model.inventory().by_path[f"{next(iter(bench.model.inventory().feed_forwards))}.w_1"].shape[1]
    yield "The paper's WERs are Hub5'00 swbd / callhm / average of systems trained from scratch; ours are of one test split."
    yield (
        "Its baseline has feed-forwards of 16 times the model's width (4096 / 256), this one of "
        f"{most / width:.0f} times ({most} / {width}): the redundancy that its systems shed is not there. Widths are inherited: the units "
        "of the largest weights stay, nothing is trained."
    )
    yield (
        "Table 1 runs on the recognizer, so that its test is the paper's (MAPSSWE) and Table 2 can start from its system 11; a network "
        "whose feed-forwards were trained at every width exists for the translator alone, and systems 10 to 12 are repeated on it."
    )
    yield (
        "Eq. 3 is softmax((log alpha + G) / T), Eq. 4 penalizes eta * sum of lambda C, C in millions of parameters: our etas are nats a "
        "million and not the paper's. The loss is the divergence from the uncompressed model's posteriors, on analysis."
    )
    yield (
        "Systems 6 to 9 have a bottleneck of 0.625 of the model's width, as the paper's, in the baseline's own feed-forwards (its have "
        f"5120), and train for {FINE_STEPS} steps. System 14 has the widths of 11 and the ranks of 13; the paper searches both at once."
    )
    yield (
        f"System 11 has the largest eta of {', '.join(f'{eta:g}' for eta in ETAS)} that loses at most {TOLERANCE:g} point on analysis (the "
        f"smallest where none does): {found.eta:g}. System 12 is the plain softmax of those etas that came nearest to it in parameters."
    )
