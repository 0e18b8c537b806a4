"""Toy studies with everything that a page shows, and names that would do harm if a page took them for markup."""

from pathlib import Path

import numpy as np
import soundfile

from paredown.analysis.layer_order import LayerOrder
from paredown.analysis.result import WIDTHS, Analysis
from paredown.report.front_rows import read_front
from paredown.search.storage import Storage
from paredown.search.study import Study
from paredown.search.trial import Candidate
from paredown.space.configuration import Configuration, Decode
from paredown.trials.ablation import Ablated
from paredown.trials.anatomy import Anatomy
from paredown.trials.kept_analyses import Curves, KeptAnalyses, Order
from paredown.trials.listening import Heard
from paredown.trials.report_facts import ReportFacts
from tests.search import toy

HOSTILE = '</script><script>window.harmed=1</script><b onmouseover="window.harmed=2">&amp;<img src=x onerror="window.harmed=3">%{x}'
LAYERS = tuple(f"encoder.encoders.{block}.feed_forward.{part}" for block in range(2) for part in ("w_1", "w_2"))
ROWS = ((0.0, 100.0, 16e6), (-0.5, 60.0, 4e6), (-0.8, 59.0, 3.9e6), (-9.0, 90.0, 9e6), (-3.0, 40.0, 2e6))
PARTIAL = toy.outcome(-20.0, 50.0, 3.5e6)


def configuration(number: int) -> Configuration:
    """Different for every number; the first is the uncompressed model."""
    if number == 0:
        return Configuration(decode=Decode(beam_size=10))
    bits = tuple((path, 2 + (number + place) % 7) for place, path in enumerate(LAYERS))
    width = (("encoder.encoders.1.feed_forward", 64),)
    return Configuration(bits=bits, keep=(("decoder", (0, 1, 5)),), width=width, sparsity=(("encoder.feed_forward", 0.25),))


def write_study(folder: Path, name: str = "toy", label: str = "search", **budgets: str) -> Path:
    """Four complete trials, one that was stopped and one that was rejected, in `folder / name`."""
    identity = toy.IDENTITY | {"search split": "abc", "target's cpu": label, "target's threads": 1}
    spec = toy.toy_spec(name, **budgets)
    with Study.open(folder / name, spec, toy.make_space(), spec.objective_list, spec.budget_list, identity) as study:
        for number, row in enumerate(ROWS):
            running = study.storage.begin(Candidate(label if number else "uncompressed", configuration(number)), study.space.knobs)
            study.storage.complete(running, toy.outcome(*row), row, {}, 1.0)
            study.events.append("trial done", trial=number, seconds=1.0)
        running = study.storage.begin(Candidate(label, Configuration(decode=Decode(beam_size=3))), study.space.knobs)
        study.storage.stop(running, PARTIAL, f"raced out {label}", 0.1)
        _reject(study.storage, label, study)
    return folder / name


def _reject(storage: Storage, label: str, study: Study) -> None:
    running = storage.begin(Candidate(label, Configuration(decode=Decode(beam_size=4))), study.space.knobs)
    storage.fail(running, "rejected", f"parity {label}", 0.1)


def facts(folder: Path, words: str = "Tom was hit.") -> ReportFacts:
    """What a real study would have in the user's cache. `words`: what the last trial says."""
    audio = folder / "audio.wav"
    soundfile.write(audio, np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    kl = Analysis(LAYERS, np.geomspace(1.0, 1e-9, len(LAYERS) * len(WIDTHS)).reshape(len(LAYERS), -1), {}, "KL on 20 utterances", 1.0)
    pruning = Curves(("encoder.feed_forward",), (0.1, 0.5), ((50.0, 20.0),), "chrf", 51.0, "pruning on 20 utterances")
    order = Order("decoder", "chrf", LayerOrder((2, 1), (48.0, 45.0)), "100 utterances")
    anatomy = Anatomy(3_900_000, (("encoder.feed_forward", 3e6),), (("manifest.json", 9e5),), (("bits", 12e6),), (("encoder", 9e8),))
    heard = (
        Heard("u1", audio, "said", "the reference", "Tom was here.", ((2, words), (1, "Tom was here.")), True),
        Heard(words, audio, None, words, None, ((2, "a"), (1, "b")), False),
    )
    measured = (("", (-0.8, 59.0, 3.9e6)), ("bits", (-0.3, 118.0, 7.8e6)))
    ablated = tuple(Ablated(axis, configuration(2), toy.outcome(*row)) for axis, row in measured)
    numbers = [trial.number for trial in read_front(folder).trials]
    return ReportFacts(KeptAnalyses(kl, (order,), pruning), dict.fromkeys(numbers[:3], anatomy), heard, {}, {2: ablated})
