"""Several utterances at a time: their searches take their steps together, in one call of the decoder.

A place is refilled as soon as its search is done, so that the batch stays full until the utterances run out. Encoders run one by one:
they are long products already, and a padded batch would change their int8 activations where those are dynamic.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from paredown.runtime.beam import BeamSettings, Hypothesis, PrefixScorer, Search, add_eos
from paredown.runtime.decoder import Ask, DecoderSteps

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Heard:
    """An utterance as the encoder gives it: its number, keys and values of the memory [layers, heads, frames, units], and its CTC."""

    number: int
    memory_keys: Floats
    memory_values: Floats
    ctc: PrefixScorer | None = None


@dataclass
class _Place:
    number: int
    search: Search


def search_batch(
    decoder: DecoderSteps, utterances: Iterable[Heard], settings: BeamSettings, places: int
) -> Iterator[tuple[int, tuple[Hypothesis, ...]]]:
    """(number, hypotheses best first) of every utterance, in the order in which they finish; `places` searches go on at a time.

    The decoder must have no places yet, and has none in the end. An utterance is taken from `utterances` when a place is free for it.
    """
    waiting = iter(utterances)
    running: list[_Place] = []
    for heard in islice(waiting, places):
        running.append(_seat(decoder, heard, settings, len(running)))
    while running:
        _step_all(decoder, [place.search for place in running], settings)
        for index in reversed(range(len(running))):
            place = running[index]
            if not place.search.done:
                continue
            again = place.search.again()
            if again is not None:
                place.search = again
                continue
            yield place.number, place.search.ranked()
            following = next(waiting, None)
            if following is None:
                decoder.leave(index)
                del running[index]
            else:
                running[index] = _seat(decoder, following, settings, index)


def _seat(decoder: DecoderSteps, heard: Heard, settings: BeamSettings, place: int) -> _Place:
    decoder.listen(heard.memory_keys, heard.memory_values, place)
    return _Place(heard.number, Search(settings, heard.memory_keys.shape[2], settings.minlenratio, heard.ctc))


def _step_all(decoder: DecoderSteps, searches: Sequence[Search], settings: BeamSettings) -> None:
    """One step of every search; as `paredown.runtime.beam.propose` does it for one."""
    asks = [Ask(search.beam.tokens, search.position, search.beam.order) for search in searches]
    candidates = searches[0].beam.candidates
    scores, ids = decoder.step_all(asks, candidates)
    for place, (search, ask) in enumerate(zip(searches, asks, strict=True)):
        rows = len(ask.tokens)
        proposed = scores[place, :rows], ids[place, :rows]
        if settings.ctc_weight > 0 and candidates < settings.vocabulary:
            proposed = add_eos(*proposed, decoder.log_probs_of(settings.eos, place)[:rows], settings.eos)
        search.extend(*proposed)
