"""Errors of the API name what its caller can write."""

import pytest

import paredown
from paredown.api.wording import names_arguments


def said(line: str) -> str:
    @names_arguments
    def refuse() -> None:
        raise paredown.BadInput(line)

    with pytest.raises(paredown.BadInput) as refused:
        refuse()
    return str(refused.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--data must exist, got x", "data must exist, got x"),
        ("beam size must lie in [1, 9], got 0: see --beam-size", "beam size must lie in [1, 9], got 0: see beam_size"),
        ("--tdp is for --energy estimate alone", "tdp_w is for energy estimate alone"),
        ("`paredown init MODEL --data F` reads it, or --data", "`paredown init MODEL --data F` reads it, or data"),
        ("try paredown analyse M --data F; --bits is none", "try paredown analyse M --data F; bits is none"),
        ("a folder of a--b", "a folder of a--b"),
    ],
)
def test_flags_become_arguments_and_commands_stay(line: str, told: str) -> None:
    assert said(line) == told


def test_a_function_refuses_in_its_own_words() -> None:
    with pytest.raises(paredown.BadInput, match=r"^tdp_w is for energy estimate alone"):
        paredown.profile("bundled:tatoeba-en-de", tdp_w=15.0)
