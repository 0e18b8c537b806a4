"""A model's frontend as a configuration wants it: another hop length, another sample rate."""

from dataclasses import replace

from paredown.errors import BadInput
from paredown.models.frontend import FrontendSettings
from paredown.space.configuration import Input

LEAST_FFT = 16


def resize_input(own: FrontendSettings, wanted: Input) -> FrontendSettings:
    """The frontend that hears what `wanted` says. Frames keep their mels, so the network takes them as before.

    A hop is told at the model's own rate. At another rate the "naive" variant changes nothing but the rate of the audio: the frontend
    takes it for its own and hears accelerated speech. The "matched" one scales window, hop and transform with the rate and ends its mel
    filters at half of it: a frame lasts as long as before, and a bin is as wide.
    Raises BadInput for a hop longer than the window (audio between two frames would not be heard), a rate above the model's own, and one
    at which lengths are no whole samples.
    """
    hop = own.hop_samples if wanted.hop_samples is None else wanted.hop_samples
    if hop > own.win_length:
        raise BadInput(f"input.hop_samples must be at most the window of {own.win_length} samples, got {hop}")
    rate_hz = wanted.sample_rate_hz
    if rate_hz is None or rate_hz == own.sample_rate_hz:
        return replace(own, hop_samples=hop)
    if rate_hz > own.sample_rate_hz:
        raise BadInput(f"input.sample_rate_hz must be at most the model's {own.sample_rate_hz} Hz, got {rate_hz}")
    if wanted.variant == "naive":
        return replace(own, hop_samples=hop, sample_rate_hz=rate_hz, filter_rate_hz=own.sample_rate_hz)
    return replace(
        own,
        sample_rate_hz=rate_hz,
        n_fft=_scaled("n_fft", own.n_fft, rate_hz, own),
        win_length=_scaled("win_length", own.win_length, rate_hz, own),
        hop_samples=_scaled("hop_samples", hop, rate_hz, own),
        fmax_hz=min(own.fmax_hz, rate_hz / 2),
    )


def _scaled(name: str, length: int, rate_hz: int, own: FrontendSettings) -> int:
    scaled, rest = divmod(length * rate_hz, own.sample_rate_hz)
    if rest or (name == "n_fft" and scaled < LEAST_FFT):
        got = length * rate_hz / own.sample_rate_hz
        raise BadInput(f"{name} of {length} samples at {own.sample_rate_hz} Hz must be whole samples at {rate_hz} Hz, got {got:g}")
    return scaled
