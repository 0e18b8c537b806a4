"""Widths by Gumbel-softmax DARTS against uniform ones, both from one supernet: chrF on test of fp32 bundles, the model's own decoding.

    python -m tests.benchmarks.bench_widths [--controls] [--utterances N] [--split search]

Fixed beforehand, by what *analysis* and *search* said: the three penalties, and how alphas are learnt (`SearchSettings`), from *analysis*.
The rival has the same number of hidden units in every feed-forward, the least that makes at least as many parameters as ours. Beside them,
on request and held to no bar: the family of a plain softmax (systems 10 to 12 of the lossless 4-bit Conformer paper) with its own uniform
rival, and that of the bundled model as it is, whose neurons stand in the order of their weights' norms (no supernet was trained).
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paredown.analysis.darts.alphas import SearchSettings, Softmax
from paredown.analysis.darts.family import Family
from paredown.analysis.darts.measure import measure_family
from paredown.bundle import write_bundle
from paredown.compress.network import compress_model
from paredown.data import Split, open_data
from paredown.models import Model, load_model
from paredown.quality import paired_difference, score
from paredown.space.configuration import Configuration
from paredown.space.operations import count_parameters
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import uncompressed
from paredown.trials.sensitivity import read_samples
from paredown.trials.workshop import Workshop
from tests.benchmarks.bars import Bar, print_bars
from tests.benchmarks.pooled import pooled_difference

MODEL = "bundled:tatoeba-en-de"
SUPERNET = f"{MODEL}-supernet"
ETAS = (0.1, 0.2, 0.4)
Texts = list[str]


@dataclass(frozen=True)
class Subject:
    """One network: `name` says which, `model` whose weights it takes."""

    name: str
    model: Model
    configuration: Configuration

    @property
    def parameters(self) -> int:
        return count_parameters(self.model.inventory(), self.configuration)


def uniform_rival(subject: Subject) -> Subject:
    """As many hidden units everywhere as make at least the subject's parameters, and not one more."""
    units_of = subject.model.inventory().feed_forwards
    for units in range(1, max(units_of.values()) + 1):
        width = tuple((path, min(units, most)) for path, most in units_of.items())
        rival = Subject(f"uniform {units}", subject.model, replace(subject.configuration, width=width))
        if rival.parameters >= subject.parameters:
            return rival
    raise ValueError(f"the whole network must have the {subject.parameters} parameters of {subject.name}, it has {rival.parameters}")


def members(name: str, model: Model, family: Family) -> list[Subject]:
    """One subject for each eta."""
    whole = uncompressed(model)
    rows = [tuple(zip(family.paths, sizes, strict=True)) for sizes in family.sizes]
    return [Subject(f"{name}, eta {eta:g}", model, replace(whole, width=row)) for eta, row in zip(family.etas, rows, strict=True)]


def find_family(model: Model, decoder: Decoder, etas: Sequence[float], softmax: Softmax, settings: SearchSettings) -> Family:
    """The widths that *analysis* gives, teacher-forced on the model's own hypotheses."""
    with Workshop(model) as workshop:
        samples = read_samples(model, open_data(f"{MODEL}/analysis"), workshop, decoder)
    return measure_family(model, samples, "width", etas, replace(settings, softmax=softmax), threads=decoder.workers)


def decode(subjects: Sequence[Subject], split: Split, decoder: Decoder) -> dict[str, Texts]:
    """What every subject translates the split to, by name; a line for each."""
    texts: dict[str, Texts] = {}
    references = split.references(subjects[0].model.task)
    with tempfile.TemporaryDirectory() as folder:
        for number, subject in enumerate(subjects):
            bundle = write_bundle(subject.model, compress_model(subject.model, subject.configuration), Path(folder) / str(number))
            texts[subject.name] = [hypothesis.text for hypothesis in decoder.decode(bundle, split)]
            found = score("chrf", texts[subject.name], references)
            print(f"  {subject.name:32s} {subject.parameters / 1e6:7.3f}M parameters   chrF {found.value:.2f}", flush=True)
    return texts


def judge(pairs: Sequence[tuple[str, str]], texts: Mapping[str, Texts], references: Sequence[str]) -> list[Bar]:
    """The bars: chrF at least the rival's at every size, and better over all of them."""
    bars = []
    for ours, rival in pairs:
        found = paired_difference("chrf", texts[ours], texts[rival], references)
        low, high = found.ci95
        bars.append(Bar(f"{ours} - {rival}: chrF [{low:+.2f}, {high:+.2f}]", found.value, 0.0, unit=""))
    pooled = pooled_difference("chrf", [(texts[ours], texts[rival]) for ours, rival in pairs], references)
    what = f"all sizes together: {pooled.value:+.2f} chrF, lower end of its interval"
    return [*bars, Bar(what, pooled.ci95[0], 1e-9, unit="")]


def main() -> None:
    """Families, decoding, bars."""
    arguments = read_arguments()
    base, supernet = load_model(MODEL), load_model(arguments.supernet)
    split = open_data(f"{MODEL}/{arguments.split}").first(arguments.utterances)
    settings = SearchSettings() if arguments.steps is None else SearchSettings(steps=arguments.steps)
    with Decoder(arguments.workers) as decoder:
        ours = members("gumbel softmax", supernet, find_family(supernet, decoder, arguments.etas, "gumbel", settings))
        controls: dict[str, list[Subject]] = {}
        if arguments.controls:
            plain = find_family(supernet, decoder, arguments.etas, "plain", settings)
            untrained = find_family(base, decoder, arguments.etas, "gumbel", settings)
            controls = {"plain softmax": members("plain softmax", supernet, plain), "no supernet": members("no supernet", base, untrained)}
        pairs = [(subject, uniform_rival(subject)) for group in (ours, *controls.values()) for subject in group]
        named = {f"{rival.name} of {rival.model.path.parent.name}": rival for _, rival in pairs}
        rivals = {subject.name: f"{rival.name} of {rival.model.path.parent.name}" for subject, rival in pairs}
        whole = [Subject("bundled model", base, uncompressed(base)), Subject("supernet, whole", supernet, uncompressed(supernet))]
        subjects = [*whole, *(subject for subject, _ in pairs), *(replace(rival, name=name) for name, rival in named.items())]
        texts = decode(subjects, split, decoder)
    references = split.references(base.task)
    title = f"widths, {len(split)} utterances of {arguments.split}, fp32 bundles, paired bootstrap over utterances"
    print_bars(title, judge([(subject.name, rivals[subject.name]) for subject in ours], texts, references))
    for name, group in controls.items():
        print_bars(f"{name} (no bar)", judge([(subject.name, rivals[subject.name]) for subject in group], texts, references))


def read_arguments() -> argparse.Namespace:
    """The command line; the figures that count are those of its defaults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--supernet", default=SUPERNET)
    parser.add_argument("--split", default="test")
    parser.add_argument("--utterances", type=int, default=1000)
    parser.add_argument("--etas", type=float, nargs="+", default=ETAS)
    parser.add_argument("--controls", action="store_true", help="also a plain softmax, and the bundled model as it is")
    parser.add_argument("--steps", type=int, help="of a search; a check of this file needs few")
    parser.add_argument("--workers", type=int)
    return parser.parse_known_args()[0]


if __name__ == "__main__":
    main()
