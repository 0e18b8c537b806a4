"""Warm start: a spread of points resolved as the space resolves them, and another study's trials, the best first."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from moocore import hypervolume

from paredown.errors import BadInput
from paredown.search.loop import run_study
from paredown.search.study import Study, read_trials
from paredown.search.trial import Candidate
from paredown.search.warm_start import from_study, gentlest, solver_optimal
from paredown.space.axes.base import SearchSpace
from paredown.space.axes.decode import DecodeAxis
from paredown.space.axes.input import InputAxis
from paredown.space.axes.layers import LayersAxis
from paredown.space.axes.sparsity import SparsityAxis
from paredown.space.configuration import Input
from tests.search import toy
from tests.search.bundled_toy import inventory, make_space, values

DIGEST = str(toy.IDENTITY["model"])


def test_the_grid_is_distinct_resolved_and_spread() -> None:
    space = make_space(inventory(1, 6, 8))
    pool = solver_optimal(space)
    assert 60 <= len(pool) <= 200
    assert len({candidate.digest for candidate in pool}) == len(pool)
    for candidate in pool[::4]:
        assert candidate.knobs is not None
        assert space.resolve(dict(candidate.knobs)) == candidate.configuration
    for knob in space.knobs:
        chosen = Counter(dict(candidate.knobs or ())[knob.name] for candidate in pool)
        assert len(chosen) >= 2, knob.name
        assert min(chosen.values()) >= 10, knob.name
    assert dict(pool[0].knobs or ()) | {"bits.average": 8.0} == gentlest(space)


def test_the_grid_beats_as_many_random_points() -> None:
    """Hypervolume on the formula, against as many points drawn at random from the same knobs."""
    model, rng = inventory(1, 6, 32), np.random.default_rng(0)
    space = make_space(model)
    pool = [values(candidate.configuration, model) for candidate in solver_optimal(space)]
    drawn = []
    for _ in range(len(pool)):
        point = {
            knob.name: knob.checked(float(rng.integers(knob.low, knob.high + 1)) if knob.integer else rng.uniform(knob.low, knob.high))
            for knob in space.knobs
        }
        drawn.append(values(space.resolve(point), model))
    _, latency_ms, size_bytes = values(space.resolve(gentlest(space)), model)  # every layer at 8 bits
    corner = np.array([10.0, np.log(1.1 * latency_ms), np.log(1.1 * size_bytes)])  # ten points of quality lost, both costs a tenth above
    ours, random = (
        hypervolume(np.array([(-quality, np.log(latency), np.log(size)) for quality, latency, size in points]), ref=corner)
        for points in (pool, drawn)
    )
    assert ours > 1.1 * random


def test_fewer_are_the_first_of_more_and_few_axes_suffice() -> None:
    model = inventory(1, 2, 8)
    space = make_space(model)
    assert solver_optimal(space, 12) == solver_optimal(space, 40)[:12]
    beams = solver_optimal(make_space(model, (DecodeAxis(beam_size=(1, 10)),)))
    assert [candidate.configuration.decode.beam_size for candidate in beams] == [10, 5, 2, 1]
    hops = solver_optimal(make_space(model, (InputAxis(160, (160, 200, 250, 300, 320)),)))
    assert [candidate.configuration.input.hop_samples for candidate in hops] == [None, 200, 300, 320]


def old_study(folder: Path, trials: int = 14, space: SearchSpace | None = None) -> Path:
    with toy.open_study(folder, toy.toy_spec(trials=trials), space=space) as study:
        run_study(study, toy.evaluate, toy.given())
    return folder


def test_another_studys_trials_come_front_by_front(tmp_path: Path) -> None:
    folder = old_study(tmp_path / "old")
    trials = {trial.digest: trial for trial in read_trials(folder)}
    warm = from_study(folder, toy.make_space(), DIGEST)
    found = [trials[candidate.digest] for candidate in warm.candidates]  # the same space resolves to the same configurations
    assert len(found) == len(set(found)) == 12
    assert warm.left_out == 2  # the uncompressed model and the one of uniform bits have no knobs
    spec = toy.toy_spec()
    figures = [
        np.array([sign * trial.outcome.value(one.name) for sign, one in zip((-1, 1, 1), spec.objective_list, strict=True)])
        for trial in found
        if trial.outcome
    ]
    rank = [0] * len(figures)
    everyone = [
        np.array([-t.outcome.value("quality"), t.outcome.value("latency_ms@cpu"), t.outcome.value("size_bytes")])
        for t in trials.values()
        if t.outcome
    ]
    for place, figure in enumerate(figures):
        rank[place] = _depth(figure, everyone)
    assert rank == sorted(rank)
    assert rank[0] == 0
    assert from_study(folder, toy.make_space(), DIGEST, limit=3).candidates == warm.candidates[:3]


def _depth(point: np.ndarray, others: list[np.ndarray]) -> int:
    """Length of the longest chain of points, each dominating the next, above this one: the front that it lies on."""
    above = [other for other in others if (other <= point).all() and (other < point).any()]
    return 1 + max(_depth(other, above) for other in above) if above else 0


def test_what_this_space_cannot_have_is_left_out_and_counted(tmp_path: Path) -> None:
    folder = old_study(tmp_path / "old")
    known = [dict(trial.candidate.knobs) for trial in read_trials(folder) if trial.candidate.knobs]
    deep = sum(one["layers.decoder"] >= 4 for one in known)
    warm = from_study(folder, toy.make_space(low=4), DIGEST)
    assert len(warm.candidates) == deep
    assert warm.left_out == 14 - deep
    fewer_knobs = from_study(folder, toy.make_space(groups=toy.GROUPS[:1]), DIGEST)
    assert fewer_knobs.candidates == ()
    assert fewer_knobs.left_out == 14
    more = SearchSpace([*toy.make_space().axes, DecodeAxis(beam_size=(2, 8))])
    filled = from_study(folder, more, DIGEST)
    assert len(filled.candidates) == 12
    assert {candidate.configuration.decode.beam_size for candidate in filled.candidates} == {8}
    for candidate in filled.candidates:
        assert more.resolve(dict(candidate.knobs or ())) == candidate.configuration


def test_places_in_another_list_of_rates_say_nothing_here(tmp_path: Path) -> None:
    def space(*rates: int) -> SearchSpace:
        heard = InputAxis(160, (160, 200), [Input(), *(Input(sample_rate_hz=rate) for rate in rates)])
        return SearchSpace([LayersAxis("decoder", 6, (3, 2, 4, 1, 0), 2, 6), SparsityAxis(toy.GROUPS, 0.9), heard])

    folder = tmp_path / "old"
    with toy.open_study(folder, toy.toy_spec(trials=8), space=space(8000)) as study:
        run_study(study, toy.evaluate, [toy.UNCOMPRESSED])
    assert len(from_study(folder, space(8000), DIGEST).candidates) == 7
    assert from_study(folder, space(11_025), DIGEST).candidates == ()


def test_another_model_or_no_study_is_refused(tmp_path: Path) -> None:
    folder = old_study(tmp_path / "old", trials=3)
    with pytest.raises(BadInput, match=f"of the same model: that of .*old has the digest {DIGEST}, this one's is other"):
        from_study(folder, toy.make_space(), "other")
    with pytest.raises(BadInput, match=r"study\.db"):
        from_study(tmp_path / "none", toy.make_space(), DIGEST)


def test_a_study_begins_with_them(tmp_path: Path) -> None:
    warm = from_study(old_study(tmp_path / "old"), toy.make_space(), DIGEST, limit=4)
    with toy.open_study(tmp_path / "new", toy.toy_spec(trials=5)) as study:
        run_study(study, toy.evaluate, [toy.UNCOMPRESSED, *warm.candidates])
        assert [trial.label for trial in study.trials] == ["uncompressed", *(candidate.label for candidate in warm.candidates)]
        _same(study, warm.candidates)


def _same(study: Study, candidates: tuple[Candidate, ...]) -> None:
    assert [trial.digest for trial in study.trials[1:]] == [candidate.digest for candidate in candidates]
