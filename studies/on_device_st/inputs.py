"""The paper's four input sizes, and the same at half the sample rate, on a model with another hop or rate."""

from dataclasses import replace

from paredown.models import Model
from paredown.space.configuration import Configuration, Input, Variant
from studies.on_device_st.paper import HOP_SAMPLES, TABLE_1


def hop_of(model: Model, name: str) -> int:
    """In samples at the model's rate: in the paper's proportion to its own, and even, so that half the rate has one too."""
    own = model.frontend.hop_samples
    return own if TABLE_1[name] == HOP_SAMPLES else 2 * round(own * TABLE_1[name] / HOP_SAMPLES / 2)


def with_hop(model: Model, name: str, base: Configuration) -> Configuration:
    """The first method: frames further apart. "original" is the base itself."""
    hop = hop_of(model, name)
    return base if hop == model.frontend.hop_samples else replace(base, input=Input(hop_samples=hop))


def with_half_rate(model: Model, name: str, base: Configuration, variant: Variant) -> Configuration:
    """The second method: audio at half the rate, then the hop. "naive" is the paper's: the frontend takes it for its own rate."""
    hop, own = hop_of(model, name), model.frontend.hop_samples
    rate_hz = model.frontend.sample_rate_hz // 2
    return replace(base, input=Input(None if hop == own else hop, rate_hz, variant))
