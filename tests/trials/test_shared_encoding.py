"""Encoder states that several decoders share: the same hypotheses as without them, computed once; and who may share them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.data import open_data  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.space.configuration import Configuration, Decode, Input, Scheme  # noqa: E402
from paredown.trials import decoding  # noqa: E402
from paredown.trials.decoding import Search  # noqa: E402
from paredown.trials.shared_encoding import SharedStates, encoder_digest, states_file  # noqa: E402
from paredown.trials.space import uniform_bits  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from tests.commands.tiny import write_model  # noqa: E402

WEIGHTS = "f" * 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


def with_bits(configuration: Configuration, prefix: str, bits: int) -> Configuration:
    changed = {path: bits if path.startswith(prefix) else width for path, width in configuration.bits}
    return replace(configuration, bits=tuple(changed.items()))


@pytest.fixture(scope="module")
def base(model: Model) -> Configuration:
    return uniform_bits(model.inventory(), 8, Decode(beam_size=1))


def test_decoder_and_search_do_not_change_the_encoder_and_all_else_does(base: Configuration) -> None:
    own = encoder_digest(base, WEIGHTS)
    same = [
        replace(base, decode=Decode(beam_size=4)),
        with_bits(base, "decoder.", 4),
        replace(base, keep=(("decoder", (0,)),)),
        replace(base, sparsity=(("decoder.feed_forward", 0.5),)),
    ]
    other = [
        with_bits(base, "encoder.encoders.0.feed_forward", 4),
        replace(base, keep=(("encoder", (0,)),)),
        replace(base, sparsity=(("encoder.feed_forward", 0.5),)),
        replace(base, input=Input(hop_samples=100)),
        replace(base, scheme=Scheme(granularity="tensor")),
    ]
    assert {encoder_digest(one, WEIGHTS) for one in same} == {own}
    digests = [encoder_digest(one, WEIGHTS) for one in other]
    assert own not in digests
    assert len(set(digests)) == len(digests)
    assert encoder_digest(base, "0" * 64) != own


def test_what_listens_or_is_trained_shares_with_nobody(base: Configuration) -> None:
    assert encoder_digest(replace(base, scheme=Scheme(method="gptq")), WEIGHTS) is None
    assert encoder_digest(replace(base, schedule=(f"recovered:{'a' * 64}", *base.schedule)), WEIGHTS) is None


def test_hypotheses_by_states_are_those_of_the_whole_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On real speech: another search, other bits in the decoder, fewer blocks."""
    bundled = load_model("bundled:tatoeba-en-de")
    base = uniform_bits(bundled.inventory(), 8, Decode(beam_size=1))
    files = [utterance.audio for utterance in open_data("bundled:tatoeba-en-de/search").utterances[:3]]
    kept = [one.path for one in bundled.inventory().layers if not one.path.startswith("decoder.decoders.3.")]
    fewer = replace(base, keep=(("decoder", (0, 1, 2, 4, 5)),), bits=tuple((path, 8) for path in kept))
    decoders = [base, replace(base, decode=Decode(beam_size=3)), with_bits(base, "decoder.", 3), fewer]
    folder = SharedStates(tmp_path / "states").folder_of(encoder_digest(base, bundled.digest))
    assert folder is not None
    with Workshop(bundled) as workshop:
        bundles = [workshop.build(one) for one in decoders]
        expected = [decoding._decode(bundle, files, Search(nbest=2)) for bundle in bundles]
        first = decoding._decode(bundles[0], files, Search(nbest=2), folder)
        states = [np.load(states_file(folder, file)) for file in files]
        assert all(array.ndim == 2 and np.isfinite(array).all() for array in states)
        # From here on nothing may be encoded again.
        monkeypatch.setattr("paredown.runtime.Translator.encode", lambda *_: pytest.fail("encoded twice"))
        later = [decoding._decode(bundle, files, Search(nbest=2), folder) for bundle in bundles]
    assert first == expected[0]
    assert later == expected
    assert len({tuple(one.ids for one in each) for each in expected}) == len(decoders)  # they do differ


def test_the_states_not_used_for_longest_go(tmp_path: Path) -> None:
    shared = SharedStates(tmp_path)
    folders = [shared.folder_of(f"{number:064d}"[::-1]) for number in range(6)]
    assert all(folder is not None and folder.is_dir() for folder in folders)
    assert shared.folder_of("0" * 64) == folders[0]  # used again
    shared.folder_of("e" * 64)
    assert folders[0] is not None
    assert folders[0].is_dir()
    assert folders[1] is not None
    assert not folders[1].exists()
    assert shared.folder_of(None) is None
