"""What a translation is: text, tokens and score of the best hypothesis, those of others, and what it took."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from paredown.runtime.beam import Hypothesis
from paredown.runtime.bundle_files import TokenType
from paredown.runtime.tokens import BLANK_ID, detokenize


@dataclass(frozen=True)
class Timings:
    """Milliseconds of the stages of one translation. The CTC's posteriors count with the encoder, its prefix scores with the search."""

    features_ms: float
    encoder_ms: float
    search_ms: float

    @property
    def total_ms(self) -> float:
        return self.features_ms + self.encoder_ms + self.search_ms


@dataclass(frozen=True)
class Alternative:
    """A hypothesis in words; for its fields see `Translation`."""

    text: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    score: float
    hit_cap: bool


@dataclass(frozen=True)
class Translation:
    """The best hypothesis. `ids` and `tokens` are without sos, eos and blank; `hit_cap`: the length limit cut it off.

    `score` adds up log-probabilities (decoder and CTC, weighted) and length bonus of its tokens and eos; where the CTC decodes greedily it
    is the log-probability of the best path through the frames. If no hypothesis reached the smallest length the text is empty and the
    score -inf. `frames`: feature frames that the encoder read. `alternatives`: the hypotheses after the best one, best first, as many as
    were asked for. `approximate`: other utterances of a batch had a say in the scores. `timings` (not looked at when translations are
    compared): what it took.
    """

    text: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    score: float
    frames: int
    hit_cap: bool
    alternatives: tuple[Alternative, ...] = ()
    approximate: bool = False
    timings: Timings = field(default=Timings(0.0, 0.0, 0.0), compare=False)


def spell(hypothesis: Hypothesis, vocabulary: Sequence[str], token_type: TokenType, eos: int) -> Alternative:
    """A hypothesis in words."""
    dropped = (BLANK_ID, eos)  # ESPnet leaves an eos in the text where the model took it at the last position
    ids = tuple(token for token in hypothesis.ids[1:] if token not in dropped)
    tokens = tuple(vocabulary[token] for token in ids)
    return Alternative(detokenize(tokens, token_type), tokens, ids, float(hypothesis.score), hypothesis.hit_cap)
