"""Errors of the API name what its caller can write."""

import pytest

import paredown
from paredown.api.wording import names_arguments


def said(line: str) -> str:
    @names_arguments
    def refuse(data: str = "", bits: int = 8, beam_size: int = 1, tdp_w: float = 1.0, energy: str = "", unseen: bool = False) -> None:
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
        ("--no-test leaves test unseen", "unseen leaves test unseen"),
        ("try paredown analyse M --data F; --bits is none", "try paredown analyse M --data F; bits is none"),
    ],
)
def test_flags_become_arguments(line: str, told: str) -> None:
    assert said(line) == told


@pytest.mark.parametrize(
    "line",
    [
        "`paredown init MODEL --data F` reads it",
        "COMET needs unbabel-comet: pip install --no-deps unbabel-comet==2.2.7",
        "begin one (ray start --head) or ray start --address=HOST:PORT --num-cpus=0",
        "stage 3 of the recipe with --audio_format flac",
        "a container needs --gpus all",
        "give --margin",
        "/x/run_2--data and a--bits hold nothing, nor does --data-set",
    ],
)
def test_what_is_no_argument_of_the_function_stays(line: str) -> None:
    assert said(line) == line


def test_a_function_refuses_in_its_own_words() -> None:
    with pytest.raises(paredown.BadInput, match=r"^tdp_w is for energy estimate alone"):
        paredown.profile("bundled:tatoeba-en-de", tdp_w=15.0)
