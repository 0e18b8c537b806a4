"""Several searches at a time: at fp32 each finds what it finds alone, whatever goes on beside it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.errors import BadInput
from paredown.runtime import Translator
from paredown.runtime.batch import Heard, search_batch
from paredown.runtime.beam import BeamSettings, beam_search
from paredown.runtime.decoder import DecoderSteps
from tests.runtime.toy_bundle import EOS, HEADS, TOKENS, UNITS, make_tensors, write_toy_bundle


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Translator:
    return Translator.from_bundle(write_toy_bundle(tmp_path_factory.mktemp("batch") / "toy", make_tensors(eos_bonus=1.0)))


def memories(seed: int, lengths: list[int]) -> list[Heard]:
    rng = np.random.default_rng(seed)
    shapes = [(1, HEADS, length, UNITS) for length in lengths]
    parts = [[rng.standard_normal(shape).astype(np.float32) for _ in range(2)] for shape in shapes]
    return [Heard(number, keys, values) for number, (keys, values) in enumerate(parts)]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    places=st.integers(1, 4),
    beam=st.integers(1, 6),
    minlenratio=st.sampled_from([0.0, 0.5, 0.9, -3.0]),
    maxlenratio=st.sampled_from([0.0, 0.8, -4.0]),
)
def test_a_search_finds_the_same_beside_others_as_alone(
    translator: Translator, seed: int, lengths: list[int], places: int, beam: int, minlenratio: float, maxlenratio: float
) -> None:
    rules = BeamSettings(beam, len(TOKENS), EOS, EOS, maxlenratio, minlenratio, length_bonus=0.1)
    decoder = translator.decoder
    assert decoder is not None
    heard = memories(seed, lengths)
    together = dict(search_batch(DecoderSteps(decoder.graph), heard, rules, places))
    assert sorted(together) == list(range(len(lengths)))
    for one in heard:
        decoder.listen(one.memory_keys, one.memory_values)
        alone = beam_search(decoder, one.memory_keys.shape[2], rules)
        assert [hypothesis.ids for hypothesis in together[one.number]] == [hypothesis.ids for hypothesis in alone]
        # Padding changes the blocking of sums only.
        np.testing.assert_allclose([h.score for h in together[one.number]], [h.score for h in alone], atol=1e-4)


def test_a_decoder_serves_one_utterance_again_behind_a_batch(translator: Translator) -> None:
    decoder = translator.decoder
    assert decoder is not None
    rules = BeamSettings(3, len(TOKENS), EOS, EOS)
    first, second, third = memories(1, [5, 9, 7])
    decoder.listen(first.memory_keys, first.memory_values)
    before = beam_search(decoder, 5, rules)
    fresh = DecoderSteps(decoder.graph)
    assert len(dict(search_batch(fresh, [second, third, first], rules, 2))) == 3
    fresh.listen(first.memory_keys, first.memory_values)
    assert beam_search(fresh, 5, rules) == before


def test_utterances_are_taken_when_there_is_a_place(translator: Translator) -> None:
    decoder = translator.decoder
    assert decoder is not None
    taken = []

    def lazily() -> object:
        for heard in memories(2, [3] * 6):
            taken.append(heard.number)
            yield heard

    results = search_batch(DecoderSteps(decoder.graph), lazily(), BeamSettings(2, len(TOKENS), EOS, EOS), 2)  # type: ignore[arg-type]
    next(results)
    assert len(taken) <= 3
    assert len(list(results)) == 5


def test_a_batch_of_real_graphs_translates_as_one_by_one(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from paredown.bundle.write import write_bundle
    from paredown.compress.network import compress_model
    from paredown.space.configuration import Configuration
    from tests.models.checkpoints import asr_config
    from tests.runtime.test_end_to_end import FP32, make_model, make_waveform

    model = make_model(tmp_path / "model", asr_config())
    bundle = write_bundle(model, compress_model(model, Configuration(scheme=FP32)), tmp_path / "bundle")
    waveforms = [make_waveform(seed) for seed in (3, 0, 5, 1, 2)]
    for ctc_weight in (0.0, 0.3, 1.0):
        translator = Translator.from_bundle(bundle, beam_size=4, ctc_weight=ctc_weight, length_bonus=0.2)
        alone = [translator.translate(waveform, nbest=3) for waveform in waveforms]
        together = translator.translate_batch(waveforms, batch_size=3, nbest=3)
        assert [found.ids for found in together] == [found.ids for found in alone]
        assert [[other.ids for other in found.alternatives] for found in together] == [
            [other.ids for other in found.alternatives] for found in alone
        ]
        np.testing.assert_allclose([found.score for found in together], [found.score for found in alone], atol=1e-4)
        assert len({found.ids for found in alone}) > 1
        assert not any(found.approximate for found in together)


def test_an_int8_bundle_batches_only_where_that_is_allowed(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from paredown.bundle.write import write_bundle
    from paredown.compress.network import compress_model
    from paredown.trials.conversion import configured
    from tests.models.checkpoints import st_config
    from tests.runtime.test_end_to_end import make_model, make_waveform

    model = make_model(tmp_path / "model", st_config())
    translator = Translator.from_bundle(write_bundle(model, compress_model(model, configured(model, 8)), tmp_path / "bundle"))
    waveforms = [make_waveform(seed) for seed in range(3)]
    alone = tuple(translator.translate(waveform) for waveform in waveforms)
    assert translator.translate_batch(waveforms) == alone
    allowed = translator.translate_batch(waveforms, approximate=True)
    assert all(found.approximate for found in allowed)
    assert [found.score for found in allowed] != [found.score for found in alone]
    with pytest.raises(BadInput, match=r"batch size must be a whole number in \[1, 256\], got 0"):
        translator.translate_batch(waveforms, batch_size=0)
