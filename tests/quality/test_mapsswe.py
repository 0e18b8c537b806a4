"""MAPSSWE against NIST's `sc_stats`: what it printed is committed, and printed anew where the Debian package sctk is installed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from paredown.quality.alignment import align
from paredown.quality.mapsswe import MatchedPairs, Segment, cut, matched_pairs, segments_of
from tests.quality.mapsswe_cases import Case, cases, read_printed
from tests.quality.sctk import MISSING, Printed, run_sc_stats

CASES = cases()
SENTENCES = some.lists(some.sampled_from("abc"), max_size=7)
UNDEFINED = "nan"


def printed(found: MatchedPairs) -> Printed:
    """Ours with the digits that sc_stats prints. It has no mean of no segments."""
    first, second = found.percent_errors
    p_value = f"{found.tabulated_p_value:.3f}" if found.tabulated_p_value >= 0.001 else "<0.001"
    mean = f"{found.mean:.3f}" if found.segments else UNDEFINED
    return Printed(
        str(found.segments), (f"{first:.2f}", f"{second:.2f}"), mean, f"{found.standard_deviation:.3f}", f"{found.z:.3f}", p_value
    )


def without_sign(figures: Printed) -> Printed:
    """Zero and nothing have no sign: C prints "-nan" and "-0.000" where we do not."""
    unsigned = {"-nan": "nan", "-0.000": "0.000"}
    return Printed(*(unsigned.get(value, value) if isinstance(value, str) else value for value in vars(figures).values()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_figures_are_those_of_sc_stats(case: Case) -> None:
    ours = printed(matched_pairs(case.first, case.second, case.references))
    assert without_sign(ours) == without_sign(read_printed()[case.name])


@pytest.mark.skipif(MISSING, reason="needs NIST's sctk (Debian package sctk)")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sc_stats_still_prints_what_is_committed(case: Case, tmp_path: Path) -> None:
    assert run_sc_stats(tmp_path, case.first, case.second, case.references) == read_printed()[case.name]


@given(SENTENCES, SENTENCES, SENTENCES)
def test_systems_change_places(reference: list[str], one: list[str], two: list[str]) -> None:
    forth, back = (list(cut(align(reference, a), align(reference, b))) for a, b in ((one, two), (two, one)))
    assert back == [Segment(segment.words, segment.second, segment.first) for segment in forth]


@given(SENTENCES, SENTENCES, SENTENCES)
def test_every_error_is_in_one_segment(reference: list[str], one: list[str], two: list[str]) -> None:
    segments = list(cut(align(reference, one), align(reference, two)))
    for hypothesis, counted in ((one, sum(s.first for s in segments)), (two, sum(s.second for s in segments))):
        assert counted == sum(step != "correct" for step in align(reference, hypothesis))
    assert all(segment.first or segment.second for segment in segments)


def test_segments_by_hand() -> None:
    # a | B c d e f g h | i j k: one system errs at b, the other at d; h is wrong again, far enough away
    found = segments_of(["a x c d e f g y i j k"], ["a b c x e f g h i j k"], ["a b c d e f g h i j k"])
    assert found == ((Segment(6, 1, 1), Segment(5, 1, 0)),)


def test_a_p_value_is_the_normal_one_and_the_table_is_a_little_larger() -> None:
    case = CASES[0]
    found = matched_pairs(case.first, case.second, case.references)
    assert found.p_value <= found.tabulated_p_value <= found.p_value + 0.008
    assert MatchedPairs(9, 1.0, 1.0, 1.96, (0.0, 0.0), 9).p_value == pytest.approx(0.05, abs=1e-4)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="got 1, 2 and 2"):
        matched_pairs(["a"], ["a", "b"], ["a", "b"])
