"""What a search chooses from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.analysis.darts.candidates import Choice, list_choices, rank_candidates, width_candidates
from paredown.models.groups import build_inventory
from paredown.space.configuration import Configuration
from paredown.space.reduced import reduce_inventory
from tests.analysis.darts.tiny import tiny_network


def test_candidates_of_the_bundled_model() -> None:
    assert width_candidates(960) == (32, 96, 192, 288, 384, 480, 576, 672, 768, 864, 960)
    assert rank_candidates(960, 160) == (16, 32, 48, 72, 88, 104, 120, 160)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_candidates_ascend_to_the_whole_and_ranks_below_it_save_parameters(rows: int, columns: int) -> None:
    widths, ranks = width_candidates(rows), rank_candidates(rows, columns)
    assert list(widths) == sorted(set(widths))
    assert (min(widths) >= 1, widths[-1]) == (True, rows)
    assert list(ranks) == sorted(set(ranks))
    assert (min(ranks) >= 1, ranks[-1]) == (True, min(rows, columns))
    assert all(rank * (rows + columns) < rows * columns for rank in ranks[:-1])


@pytest.mark.parametrize("encoder", ["conformer-latest", "e_branchformer"])
def test_parameters_are_those_that_the_reduced_model_has(encoder: str) -> None:
    inventory = build_inventory(tiny_network(encoder))
    for choice in list_choices(inventory, "width"):
        for size, millions in zip(choice.candidates, choice.millions, strict=True):
            left = reduce_inventory(inventory, Configuration(width=((choice.path, size),))).parameters
            assert inventory.parameters - left == round(1e6 * (choice.millions[-1] - millions))
    for choice in list_choices(inventory, "rank"):
        for size, millions in zip(choice.candidates[:-1], choice.millions, strict=False):
            left = reduce_inventory(inventory, Configuration(rank=((choice.path, size),))).parameters
            assert inventory.parameters - left == round(1e6 * (choice.millions[-1] - millions))


def test_choices_are_checked() -> None:
    with pytest.raises(ValueError, match=r"at least one hidden unit, got 0"):
        width_candidates(0)
    with pytest.raises(ValueError, match=r"ascending and at least 1, got \(4, 2\) for a"):
        Choice("a", (4, 2), (0.1, 0.2))
    with pytest.raises(ValueError, match="every candidate of a needs its parameters, got 1 for 2"):
        Choice("a", (2, 4), (0.1,))
