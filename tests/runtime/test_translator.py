"""The translator on a bundle whose graphs are recomputed in NumPy; faults in its files; and that it needs neither torch nor ESPnet."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime import Translator
from paredown.runtime.beam import BeamSettings, Hypothesis, beam_search, beam_search_fixed
from paredown.runtime.features import FeatureExtractor
from tests.runtime.toy_bundle import EOS, FRONTEND, TOKENS, ToySteps, make_tensors, write_toy_bundle

TENSORS = make_tensors(seed=0, eos_bonus=2.0)  # hypotheses of 3, 11 and 47 tokens


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_bundle(tmp_path_factory.mktemp("bundles") / "toy", TENSORS)


def make_waveform(seed: int, samples: int = 6_000) -> NDArray[np.float32]:
    """Noise and a tone; both differ between seeds, so that features do."""
    tone = np.sin(2 * np.pi * 400 * (seed + 1) * np.arange(samples) / 16_000)
    return (10.0**-seed * np.random.default_rng(seed).standard_normal(samples) + 0.1 * tone).astype(np.float32)


def make_oracle(seed: int) -> tuple[ToySteps, int]:
    features = FeatureExtractor(FRONTEND).extract(make_waveform(seed))
    return ToySteps(TENSORS, features), len(features)


def settings(**changes: float) -> BeamSettings:
    return BeamSettings(**{"beam_size": 4, "vocabulary": len(TOKENS), "sos": EOS, "eos": EOS, "length_bonus": 0.1} | changes)


def inner_ids(hypothesis: Hypothesis) -> tuple[int, ...]:
    return tuple(token for token in hypothesis.ids[1:] if token not in (0, EOS))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"beam_size": 1},
        {"beam_size": 10},
        {"maxlenratio": -9.0},
        {"maxlenratio": 0.3, "minlenratio": 0.2},
        {"length_bonus": 0.6, "normalize_length": True},
    ],
    ids=str,
)
def test_a_bundle_translates_as_the_same_search_over_numpy_does(bundle: Path, change: dict[str, float]) -> None:
    translator = Translator.from_bundle(bundle, **change)
    found = set()
    for seed in range(6):
        oracle, frames = make_oracle(seed)
        best = beam_search(oracle, frames, settings(**change))[0]
        translation = translator.translate(make_waveform(seed))
        assert translation.ids == inner_ids(best)
        # Sums of some ten float32 log-probabilities, computed by two libraries.
        assert translation.score == pytest.approx(float(best.score), abs=1e-4)
        assert translation.tokens == tuple(TOKENS[token] for token in translation.ids)
        assert translation.text == "".join(translation.tokens).replace("▁", " ").replace("<unk>", " ⁇ ").strip()
        assert (translation.frames, translation.hit_cap) == (frames, best.hit_cap)
        found.add(translation.ids)
    assert len(found) > 1  # the waveform matters


def test_a_fixed_number_of_tokens_is_decoded(bundle: Path) -> None:
    oracle, _ = make_oracle(1)
    best = beam_search_fixed(oracle, 11, settings())[0]
    translation = Translator.from_bundle(bundle).translate(make_waveform(1), fixed_tokens=11)
    assert translation.ids == inner_ids(best)
    assert len(best.ids) == 12
    assert translation.hit_cap


def test_utterances_do_not_disturb_one_another(bundle: Path) -> None:
    translator = Translator.from_bundle(bundle)
    alone = translator.translate(make_waveform(3))
    translator.translate(make_waveform(4, samples=20_000))
    translator.translate(make_waveform(5), fixed_tokens=3)
    assert translator.translate(make_waveform(3)) == alone


def test_threads_do_not_change_the_result(bundle: Path) -> None:
    assert Translator.from_bundle(bundle, threads=2).translate(make_waveform(2)) == Translator.from_bundle(bundle).translate(
        make_waveform(2)
    )


def test_a_file_and_its_waveform_give_the_same(bundle: Path, tmp_path: Path) -> None:
    translator = Translator.from_bundle(bundle)
    soundfile.write(tmp_path / "speech.wav", make_waveform(0), 16_000, subtype="FLOAT")
    assert (
        translator.translate(tmp_path / "speech.wav")
        == translator.translate(str(tmp_path / "speech.wav"))
        == translator.translate(make_waveform(0))
    )


def test_a_search_that_finds_nothing_gives_an_empty_text(tmp_path: Path) -> None:
    hasty = write_toy_bundle(tmp_path / "hasty", make_tensors(eos_bonus=50.0))  # eos at once, whatever is said
    translation = Translator.from_bundle(hasty, beam_size=1, minlenratio=0.05).translate(make_waveform(0))
    assert (translation.text, translation.ids, translation.score) == ("", (), -np.inf)


def test_loading_is_timed(bundle: Path) -> None:
    assert 0.0 < Translator.from_bundle(bundle).load_ms < 60_000


@pytest.mark.parametrize("samples", [0, 1, 128, 767])
def test_audio_shorter_than_the_encoder_takes_is_refused(bundle: Path, tmp_path: Path, samples: int) -> None:
    translator = Translator.from_bundle(bundle)  # 7 frames every 128 samples: 768 samples
    soundfile.write(tmp_path / "short.wav", make_waveform(0, samples), 16_000)
    with pytest.raises(BadInput, match=r"at least 768 samples at 16000 Hz, got|must hold samples, got none") as caught:
        translator.translate(tmp_path / "short.wav")
    assert str(tmp_path / "short.wav") in str(caught.value)
    translator.translate(make_waveform(0, 768))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threads": 0}, r"threads must be a whole number in \[1, \d+\], got 0"),
        ({"beam_size": 2.5}, "got 2.5"),
        ({"ctc_window": 2.5}, "CTC window must be a whole number of at least 1, got 2.5"),
        ({"memory_limit_bytes": "4"}, "memory limit must be a number of bytes, got '4'"),
        ({"beam_size": 13}, r"\[1, 12\] \(the vocabulary\), got 13"),
        ({"beam_size": 0}, "got 0"),
        ({"maxlenratio": float("nan")}, "maxlenratio must be a finite number, got nan"),
        ({"minlenratio": float("-inf")}, "minlenratio must be a finite number, got -inf"),
        ({"length_bonus": float("inf")}, "length_bonus must be a finite number, got inf"),
    ],
)
def test_impossible_settings_are_refused(bundle: Path, change: dict[str, int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Translator.from_bundle(bundle, **change)


BLOCKED = ("torch", "torchaudio", "espnet", "espnet2", "scipy", "librosa", "onnx", "sentencepiece", "optuna")
PROGRAM = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
from paredown.runtime import Translator
print(Translator.from_bundle(sys.argv[1]).translate(sys.argv[2]).text)
assert not {name.split(".")[0] for name in sys.modules} & set(BLOCKED)
"""


def test_nothing_but_numpy_onnxruntime_and_soundfile_is_needed(bundle: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "speech.wav", make_waveform(0), 16_000, subtype="FLOAT")
    program = f"BLOCKED = {BLOCKED!r}\n{PROGRAM}"
    command = [sys.executable, "-c", program, str(bundle), str(tmp_path / "speech.wav")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONIOENCODING": "utf-8"})
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == Translator.from_bundle(bundle).translate(make_waveform(0)).text
    # The blocker works: the same program with the blocked import fails.
    blocked = subprocess.run([*command[:2], program + "import onnx\n", *command[3:]], capture_output=True, text=True, check=False)
    assert "onnx is blocked" in blocked.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("speech.wav",), "audios must be a list of files or waveforms, got str"),
        ((Path("speech.wav"),), "audios must be a list .* got PosixPath"),
        ((7,), "audios must be a list .* got int"),
        (([], 2.5), r"batch size must be a whole number in \[1, 256\], got 2.5"),
        (([], 10**6), r"in \[1, 256\], got 1000000"),
        (([], 8, 1.5), "nbest must be a whole number of at least 1, got 1.5"),
    ],
    ids=str,
)
def test_batches_that_are_none_are_refused(bundle: Path, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Translator.from_bundle(bundle).translate_batch(*arguments)


def test_a_batch_shares_the_memory_limit(bundle: Path) -> None:
    """One utterance that fits alone does not fit beside three others; the places are no more than the utterances."""
    translator = Translator.from_bundle(bundle, memory_limit_bytes=200_000)
    waveform = make_waveform(0, 12_000)
    assert translator.limits_together(4).most_samples < 12_000 <= translator.limits.most_samples
    translator.translate(waveform)
    assert translator.translate_batch([waveform], batch_size=4) == (translator.translate(waveform),)
    with pytest.raises(BadInput, match="the memory limit"):
        translator.translate_batch([waveform] * 4, batch_size=4)
    with pytest.raises(BadInput, match="the memory limit"):
        translator.translate_batch(iter([waveform]), batch_size=4)
    assert translator.translate_batch([]) == ()


def test_a_fixed_number_of_tokens_needs_a_search(bundle: Path) -> None:
    greedy = replace(Translator.from_bundle(bundle), search="greedy_ctc")
    with pytest.raises(BadInput, match="needs a beam search, got 5 with search 'greedy_ctc'"):
        greedy.translate(make_waveform(0), fixed_tokens=5)
    with pytest.raises(BadInput, match=r"must be a whole number of at least 1, got 1\.5"):
        greedy.translate(make_waveform(0), fixed_tokens=1.5)  # type: ignore[arg-type]
