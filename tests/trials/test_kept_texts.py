"""What bundles said is found under the key that a study keeps it under, by nothing but what the study wrote down."""

from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.profilers.fingerprint import read_fingerprint
from paredown.search.joint import TARGET
from paredown.search.study_file import make_spec
from paredown.search.trial import Candidate, Trial
from paredown.space.configuration import Configuration, Decode
from paredown.trials.decoding import Hypothesis
from paredown.trials.kept_texts import machine_of, read_split, read_texts
from paredown.trials.listening import DIFFERENT, RANDOM, choose_places
from paredown.trials.records import Records, hypotheses_key, utterance_digests
from tests.commands.tiny import write_split
from tests.search import toy

HERE = read_fingerprint(1)
IDENTITY = {"model": "abc", **{TARGET + name: value for name, value in HERE.facts.items()}}


def test_a_target_comes_back_as_it_was_written_down() -> None:
    assert machine_of(IDENTITY) == HERE
    assert machine_of({"model": "abc"}) is None
    other = {"cuda " + name: value for name, value in IDENTITY.items() if name.startswith(TARGET)}
    assert machine_of(other, "cuda") == HERE


def test_texts_are_found_by_place(tmp_path: Path) -> None:
    data = write_split(tmp_path / "search")
    spec = make_spec({"name": "a", "model": {"path": "m"}, "space": {"bits": {"average": [2.5, 8.0]}}, "data": {"search": str(data)}})
    split = read_split(spec, "search")
    trials = [
        Trial(number, "complete", Candidate("a", Configuration(decode=Decode(number + 1))), toy.outcome(0, 1, 1)) for number in (0, 1)
    ]
    key = hypotheses_key("abc", trials[1].digest, None, HERE, None, "abc")
    Records(tmp_path).add(key, {utterance_digests(split)[2]: Hypothesis("said", (1, 2), False)})
    assert read_texts(spec, IDENTITY, trials, split, tmp_path) == {1: {2: "said"}}
    assert read_texts(spec, {"model": "abc"}, trials, split, tmp_path) == {}


def test_another_split_is_refused(tmp_path: Path) -> None:
    data = write_split(tmp_path / "search")
    spec = make_spec({"name": "a", "model": {"path": "m"}, "space": {"bits": {"average": [2.5, 8.0]}}, "data": {"search": str(data)}})
    with pytest.raises(BadInput, match="the search split is not the one that was studied"):
        read_split(spec, "search", "0" * 64)
    with pytest.raises(BadInput, match=r"names no data\.test"):
        read_split(spec, "test")


def test_utterances_that_differ_most_are_chosen_and_some_by_chance() -> None:
    one = dict.fromkeys(range(40), "a b c d")
    other = one | dict.fromkeys(range(10, 30), "x y c d") | {5: "w x y z"}
    chosen = choose_places(one, other, seed=1)
    assert len(chosen) == DIFFERENT + RANDOM
    assert list(chosen) == sorted(chosen)
    assert [place for place, differs in chosen.items() if differs] == [5, *range(10, 17)]
    assert chosen == choose_places(one, other, seed=1)
    assert choose_places({0: "a"}, {0: "a"}, seed=1) == {0: False}
    assert choose_places({}, {}, seed=1) == {}
