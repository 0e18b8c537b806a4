"""What the benchmark of widths compares with: the least uniform network of at least as many parameters, and pairs taken together."""

from dataclasses import replace
from pathlib import Path

import pytest

from paredown.models import Model, load_model
from paredown.quality import paired_difference, score
from paredown.space.configuration import Configuration
from tests.benchmarks.bench_widths import Subject, uniform_rival
from tests.benchmarks.pooled import pooled_difference
from tests.models.checkpoints import st_config, write_checkpoint

REFERENCES = ("der hund schläft", "sie liest ein buch", "es regnet heute", "wir gehen nach hause")
GOOD = ("der hund schläft", "sie liest ein buch", "es regnet", "wir gehen heim")
BAD = ("ein hund", "sie liest", "es regnet morgen", "wir gehen nach hause")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder: Path = tmp_path_factory.mktemp("model")
    return load_model(write_checkpoint(folder, st_config()))


@pytest.mark.parametrize("sizes", [(24, 24, 24, 24, 24, 24), (1, 1, 1, 1, 1, 1), (1, 24, 3, 7, 12, 2)])
def test_the_rival_has_no_fewer_parameters_and_not_a_unit_more(model: Model, sizes: tuple[int, ...]) -> None:
    width = tuple(zip(model.inventory().feed_forwards, sizes, strict=True))
    subject = Subject("ours", model, Configuration(width=width))
    rival = uniform_rival(subject)
    (units,) = set(rival.configuration.width_of.values())
    assert rival.parameters >= subject.parameters
    assert set(rival.configuration.width_of) == set(model.inventory().feed_forwards)
    if units > 1:
        narrower = replace(rival.configuration, width=tuple((path, units - 1) for path, _ in rival.configuration.width))
        assert Subject("narrower", model, narrower).parameters < subject.parameters


def test_one_pair_is_the_paired_difference() -> None:
    assert pooled_difference("chrf", [(GOOD, BAD)], REFERENCES) == paired_difference("chrf", GOOD, BAD, REFERENCES)


def test_pairs_are_one_corpus() -> None:
    found = pooled_difference("chrf", [(GOOD, BAD), (BAD, REFERENCES)], REFERENCES)
    ours, theirs = (score("chrf", texts, REFERENCES * 2).value for texts in (GOOD + BAD, BAD + REFERENCES))
    assert found.value == pytest.approx(ours - theirs)
    assert found.utterances == len(REFERENCES)
    nothing = pooled_difference("chrf", [(GOOD, BAD), (BAD, GOOD)], REFERENCES)
    assert (nothing.value, nothing.ci95) == (0.0, (0.0, 0.0))  # an utterance is drawn with all its translations
