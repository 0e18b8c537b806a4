"""What one part alone costs: every part once, the others untouched; the bundles and their translations are made up."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from paredown.data import Split
from paredown.data.split import Utterance
from paredown.space.configuration import Configuration, Decode
from paredown.space.inventory import LayerInfo
from paredown.trials import losses as losses_module
from paredown.trials.decoding import Hypothesis
from paredown.trials.losses import measure_losses, part_of, rank_agreement

LAYERS = tuple(
    LayerInfo(path, group, (4, 4), "linear")
    for path, group in (
        ("encoder.embed.out.0", "encoder.subsampling"),
        ("encoder.encoders.0.feed_forward.w_1", "encoder.feed_forward"),
        ("encoder.encoders.0.self_attn.linear_q", "encoder.self_attn"),
        ("encoder.encoders.1.feed_forward.w_1", "encoder.feed_forward"),
        ("decoder.output_layer", "decoder.output"),
    )
)
TEXT = "this is what was said"


class Machine:
    """Workshop and decoder at once: the more layers have bits, the more of the text is lost."""

    def __init__(self) -> None:
        self.model: Any = SimpleNamespace(task="st", inventory=lambda: SimpleNamespace(layers=LAYERS))
        self.built: list[Configuration] = []
        self.discarded: list[Configuration] = []

    def build(self, configuration: Configuration) -> Configuration:
        self.built.append(configuration)
        return configuration

    def discard(self, configuration: Configuration) -> None:
        self.discarded.append(configuration)

    def decode(self, bundle: Configuration, split: Split) -> tuple[Hypothesis, ...]:
        return tuple(Hypothesis(TEXT[: len(TEXT) - 4 * len(bundle.bits)], (), False) for _ in split.utterances)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(losses_module, "uncompressed", lambda _: Configuration(decode=Decode(beam_size=3)))
    return Machine()


def split() -> Split:
    return Split("a", (Utterance("one", Path("a.wav"), text=TEXT, translation=TEXT),))


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("group", ["encoder.subsampling", "encoder.feed_forward", "encoder.self_attn", "decoder.output"]),
        ("block", ["encoder.subsampling", "encoder block 0", "encoder block 1", "decoder.output"]),
        ("layer", [layer.path for layer in LAYERS]),
    ],
)
def test_every_part_is_quantized_once_alone(part: Any, names: list[str], machine: Machine) -> None:
    calls: list[tuple[int, int]] = []
    found = measure_losses(machine, machine, split(), 3, part, progress=lambda *done: calls.append(done))  # type: ignore[arg-type]
    assert list(found) == names
    plain, *changed = machine.built
    assert plain.bits == ()
    assert changed == machine.discarded
    for name, configuration in zip(names, changed, strict=True):
        assert configuration.bits == tuple(sorted((layer.path, 3) for layer in LAYERS if part_of(layer, part) == name))
        assert configuration.decode == plain.decode
    assert calls == [(done, len(names)) for done in range(1, len(names) + 1)]
    losses = [found[name] for name in names]
    assert all(loss > 0 for loss in losses)
    agreed = rank_agreement("x", found, LAYERS, np.ones(len(LAYERS)), part) if part != "layer" else None
    assert agreed is None or (agreed.tau, agreed.count) == (1.0, len(names))


def test_other_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="parts must be one of group, block, layer, got 'head'"):
        part_of(LAYERS[0], "head")  # type: ignore[arg-type]
