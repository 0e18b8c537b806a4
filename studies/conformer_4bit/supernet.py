"""Systems 10 to 12 again where the paper's first stage was done: on a supernet, whose feed-forwards were trained at every width."""

import time
from dataclasses import dataclass, replace

from paredown.data import open_data
from paredown.models import load_model
from paredown.quality import Difference
from paredown.space.configuration import Configuration
from paredown.space.operations import count_parameters
from paredown.trials.workshop import Workshop
from studies.conformer_4bit.measured import PARAMETERS, PRICE, gain, judged, parameters_of, score_column, sized, told
from studies.conformer_4bit.search import Job, learn_sizes
from studies.conformer_4bit.systems import narrowed
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Row

RECOGNIZER, TRANSLATOR = "bundled:tatoeba-en", "bundled:tatoeba-en-de"
SUPERNET = f"{TRANSLATOR}-supernet"
ETA, PLAIN_ETAS = 0.1, (0.05, 0.1)  # those of Gumbel softmax, and of plain softmax, of which the nearest in size counts
JOBS = (Job("width", "gumbel", ETA), *(Job("width", "plain", eta) for eta in PLAIN_ETAS))


@dataclass(frozen=True)
class Again:
    """Rows, their score's column and what the conclusion says of them; nothing where the studied model has no supernet beside it.

    `pairs`: the gain of Gumbel over plain softmax, and the parameters of both in millions.
    """

    rows: tuple[Row, ...] = ()
    words: str = ""
    columns: tuple[Column, ...] = ()
    pairs: tuple[tuple[Difference, float, float], ...] = ()


def compare_softmaxes(bench: Bench) -> Again:
    """Gumbel against plain softmax on the supernet that comes with paredown, for a study of the recognizer or translator beside it."""
    if bench.model.digest not in {load_model(name).digest for name in (RECOGNIZER, TRANSLATOR)}:
        return Again()
    model = load_model(TRANSLATOR)
    with Workshop(model) as workshop:
        test = open_data(f"{TRANSLATOR}/test").first(len(bench.test))
        analysis = open_data(f"{TRANSLATOR}/analysis").first(len(bench.analysis))
        own = replace(bench, model=model, test=test, analysis=analysis, workshop=workshop, data=None)
        return _compare(own)


def _compare(bench: Bench) -> Again:
    supernet, inventory = load_model(SUPERNET), bench.model.inventory()
    base = replace(bench.whole, schedule=(f"supernet:{supernet.digest}", *bench.whole.schedule))
    penalized, *plains = (narrowed(base, inventory, sizes) for sizes in learn_sizes(bench, bench.whole, JOBS, supernet))
    size = count_parameters(inventory, penalized)
    nearest = min(range(len(plains)), key=lambda index: abs(count_parameters(inventory, plains[index]) - size))
    names = ("supernet (translation, chrF), whole", "supernet, Gumbel, FW", "supernet, plain softmax, FW")
    etas = (None, ETA, PLAIN_ETAS[nearest])
    subjects = (base, penalized, plains[nearest])
    rows = tuple(_row(bench, name, each, base, eta) for name, each, eta in zip(names, subjects, etas, strict=True))
    sizes = [sized(bench, each).parameters / 1e6 for each in subjects[1:]]
    difference = gain(bench, penalized, plains[nearest])
    words = f"; on the translator's supernet Gumbel ({sizes[0]:.2f}M) against plain ({sizes[1]:.2f}M) gains {told(difference)}"
    return Again(rows, words, (replace(score_column(bench), ours_only=True),), ((difference, sizes[0], sizes[1]),))


def _row(bench: Bench, name: str, configuration: Configuration, base: Configuration, eta: float | None) -> Row:
    """A row of Table 1."""
    began = time.monotonic()
    ours, intervals = judged(bench, configuration, base)
    ours |= {PARAMETERS: parameters_of(sized(bench, configuration))} | ({} if eta is None else {PRICE: eta})
    return Row(name, {}, ours, intervals, seconds=time.monotonic() - began)
