"""Learning architecture weights: lessons, relaxation, and a search whose answer is planted."""

import copy

import numpy as np
import pytest
import torch

from paredown.analysis.darts.alphas import SearchSettings, learn_alphas, pick_sizes, relax
from paredown.analysis.darts.candidates import Choice, list_choices
from paredown.analysis.darts.lessons import divergence_of, make_lessons
from paredown.analysis.darts.soft import soften
from paredown.analysis.posteriors import Start, divergence, plain_pass
from paredown.models.groups import build_inventory
from paredown.models.network import Network
from tests.analysis.darts.tiny import SOS, tiny_network, tiny_samples


def test_lessons_hold_every_utterance_and_are_no_larger_than_asked() -> None:
    samples = tiny_samples(((40, 3), (90, 2), (41, 4), (300, 2), (45, 5)))
    lessons = make_lessons(tiny_network(), samples, SOS, batch_frames=140)
    assert [lesson.frames.tolist() for lesson in lessons] == [[40, 41, 45], [90], [300]]
    with pytest.raises(ValueError, match="at least one utterance, got none"):
        make_lessons(tiny_network(), [], SOS, 100)


@pytest.mark.parametrize("encoder", ["conformer-latest", "e_branchformer", "transformer", "asr"])
def test_divergence_is_that_of_the_kl_table(encoder: str) -> None:
    network, samples = tiny_network(encoder), tiny_samples(((131, 9),))
    (lesson,) = make_lessons(network, samples, SOS, 1000)
    assert float(divergence_of(network, lesson)) == pytest.approx(0.0, abs=1e-6)
    references = [plain_pass(network, samples[0], SOS)]
    other = tiny_network(encoder, seed=1)
    expected = divergence(other, references, Start(-1, -1))
    assert float(divergence_of(other, lesson)) == pytest.approx(expected, rel=1e-3)


def test_padding_does_not_count() -> None:
    network, other = tiny_network("transformer"), tiny_network("transformer", seed=1)  # no convolution that would feel it
    samples = tiny_samples(((131, 9), (125, 9)))
    (together,) = make_lessons(network, samples, SOS, 1000)
    alone = [make_lessons(network, [sample], SOS, 1000)[0] for sample in samples]
    steps = [(sample.features.shape[0] - 1) // 2 for sample in samples]  # CTC frames weigh each utterance by its length, nearly alike
    assert abs(steps[0] - steps[1]) <= 3
    mean = sum(float(divergence_of(other, lesson)) for lesson in alone) / 2
    assert float(divergence_of(other, together)) == pytest.approx(mean, rel=0.02)


def test_samples_sum_to_one_and_follow_alpha() -> None:
    logs = torch.tensor([0.0, 1.0, 2.0])
    drawn = relax(logs, "gumbel", 0.05, 4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.sum(-1), torch.ones(4000))
    share = torch.bincount(drawn.argmax(-1), minlength=3) / 4000
    torch.testing.assert_close(share, torch.softmax(logs, -1), rtol=0, atol=0.03)  # three standard errors are 0.024
    assert float(drawn.max(-1).values.median()) > 0.99
    plain = relax(logs, "plain", 0.05, 4, torch.Generator())
    torch.testing.assert_close(plain, torch.softmax(logs, -1).expand(4, -1))


def _planted() -> tuple[Network, dict[str, int]]:
    """A network of which some feed-forwards use their first units alone."""
    network = tiny_network()
    needed = {"encoder.encoders.0.feed_forward": 5, "encoder.encoders.1.feed_forward_macaron": 1, "decoder.decoders.0.feed_forward": 12}
    for path, units in needed.items():
        weight = network.get_parameter(f"{path}.w_2.weight")
        weight[:, :units] *= 3.0
        weight[:, units:] = 0.0
    return network, needed


@pytest.mark.parametrize("softmax", ["gumbel", "plain"])
def test_search_finds_the_planted_widths(softmax: str) -> None:
    network, needed = _planted()
    choices = [Choice(path, (1, 5, 12, 24), tuple(1e-3 * size for size in (1, 5, 12, 24))) for path in needed]
    lessons = make_lessons(network, tiny_samples(), SOS, 300)
    before = copy.deepcopy(network.state_dict())
    layers = soften(network, choices)
    settings = SearchSettings(softmax=softmax, steps=180, rate=0.2, batch_frames=300, autocast=False)  # type: ignore[arg-type]
    found = pick_sizes(choices, learn_alphas(network, layers, lessons, 0.5, settings))
    assert found == tuple(needed.values())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())


def test_seeds_decide_and_penalties_shrink() -> None:
    network = tiny_network()
    lessons = make_lessons(network, tiny_samples(), SOS, 300)
    choices = list_choices(build_inventory(network), "width")
    layers = soften(network, choices)

    def search(eta: float, seed: int = 0) -> list[list[float]]:
        settings = SearchSettings(steps=45, rate=0.3, batch_frames=300, autocast=False, seed=seed)
        return [values.tolist() for values in learn_alphas(network, layers, lessons, eta, settings)]

    def size(eta: float) -> int:
        return sum(pick_sizes(choices, [torch.tensor(values) for values in search(eta)]))

    assert search(10.0) == search(10.0)
    assert search(10.0) != search(10.0, seed=1)
    free, dear = size(0.0), size(1e5)
    assert free > dear
    assert dear == sum(choice.candidates[0] for choice in choices)


def test_of_equal_alphas_the_smaller_candidate_wins() -> None:
    choices = (Choice("a", (2, 4, 8), (0.0,) * 3), Choice("b", (1, 3), (0.0,) * 2))
    assert pick_sizes(choices, [torch.tensor([0.0, 1.0, 1.0]), torch.tensor([0.0, 0.0])]) == (4, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"softmax": "hard"}, "softmax must be gumbel or plain, got 'hard'"),
        ({"steps": 0}, "steps, rate and batch frames must be above 0"),
        ({"rate": 0.0}, "steps, rate and batch frames must be above 0"),
        ({"hot": 0.1, "cold": 0.2}, "the temperature must fall and stay above 0, got 0.1 to 0.2"),
        ({"cold": 0.0}, "the temperature must fall and stay above 0"),
    ],
)
def test_settings_are_checked(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchSettings(**changes)  # type: ignore[arg-type]


def test_noise_stays_finite() -> None:
    found = relax(torch.zeros(3), "gumbel", 1e-3, 100_000, torch.Generator().manual_seed(1))
    assert np.isfinite(found.numpy()).all()
