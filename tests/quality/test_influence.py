"""What utterances add to an effect, against leaving each of them out."""

import numpy as np
import pytest

from paredown.quality.influence import influences
from paredown.quality.pairs import Pairs
from tests.quality.test_sums import corpora


@pytest.mark.parametrize("metric", ["bleu", "chrf", "chrf++", "ter", "wer", "cer"])
def test_influences_are_what_leaving_out_does(metric: str) -> None:
    """The jackknife is the finite form of the same derivative: they agree up to terms of 1 / utterances."""
    rows = [(h, r) for hypotheses, references in corpora() for h, r in zip(hypotheses, references, strict=True) if r]
    candidate, references = [h for h, _ in rows], [r for _, r in rows]
    other = [" ".join(line.split()[1:]) for line in references]
    pairs = Pairs.of(metric, candidate, other, references)
    left_out = []
    for number in range(len(pairs)):
        rest = np.arange(len(pairs)) != number
        left_out.append(Pairs(metric, pairs.candidate[rest], pairs.reference[rest]).effect)
    jackknife = (len(pairs) - 1) * (np.mean(left_out) - np.array(left_out))
    found = influences(pairs)
    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert np.corrcoef(found, jackknife)[0, 1] > 0.999
    assert found.std() == pytest.approx(jackknife.std(), rel=0.03)
