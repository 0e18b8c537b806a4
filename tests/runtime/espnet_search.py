"""ESPnet's own search, and a decoder of ESPnet behind our search: what tests of beam search compare."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from paredown.runtime.beam import BeamSettings, Hypothesis

Found = list[tuple[tuple[int, ...], float]]


@dataclass
class EspnetSteps:
    """An ESPnet torch decoder behind `StepModel`: whole prefixes and states are reordered in Python."""

    decoder: object
    memory: object
    batches: list[int] = field(default_factory=list)  # hypotheses of every step
    starts: int = 0

    def start(self) -> None:
        self.prefixes, self.states, self.starts = np.zeros((1, 0), np.int64), [None], self.starts + 1

    def step(
        self, tokens: NDArray[np.int64], position: int, order: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        import torch

        assert position == self.prefixes.shape[1]
        self.prefixes = np.concatenate([self.prefixes[order], tokens[:, None]], axis=1)
        self.batches.append(len(tokens))
        memory = self.memory.expand(len(tokens), *self.memory.shape)
        with torch.no_grad():
            states = [self.states[row] for row in order]
            self.scores, self.states = self.decoder.batch_score(torch.from_numpy(self.prefixes), states, memory)
            best = self.scores.topk(k)
        return best.values.numpy(), best.indices.numpy()

    def log_probs_of(self, token: int) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self.scores[:, token].numpy()
        return scores


def search_espnet(decoder: object, memory: object, settings: BeamSettings, ctc: object = None) -> Found:
    """All hypotheses of `BatchBeamSearch`, set up as `espnet2.bin.asr_inference` does, best first, with their scores."""
    import torch
    from espnet.nets.batch_beam_search import BatchBeamSearch
    from espnet.nets.scorers.ctc import CTCPrefixScorer
    from espnet.nets.scorers.length_bonus import LengthBonus

    weight = settings.ctc_weight
    search = BatchBeamSearch(
        scorers={
            "decoder": decoder,
            "ctc": None if ctc is None else CTCPrefixScorer(ctc, settings.eos),
            "length_bonus": LengthBonus(settings.vocabulary),
        },
        weights={"decoder": 1.0 - weight, "ctc": weight, "length_bonus": settings.length_bonus},
        beam_size=settings.beam_size,
        vocab_size=settings.vocabulary,
        sos=settings.sos,
        eos=settings.eos,
        pre_beam_score_key=None if weight == 1.0 else "full",
        normalize_length=settings.normalize_length,
    ).eval()
    with torch.no_grad():
        found = search(memory, maxlenratio=settings.maxlenratio, minlenratio=settings.minlenratio)
    return [(tuple(hypothesis.yseq.tolist()), float(hypothesis.score)) for hypothesis in found]


def plain(hypotheses: tuple[Hypothesis, ...]) -> Found:
    return [(hypothesis.ids, float(hypothesis.score)) for hypothesis in hypotheses]
