"""Errors of the Python API name its arguments where the command line names flags."""

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from paredown.errors import BadInput

Given = ParamSpec("Given")
Result = TypeVar("Result")

_WORDS = re.compile(
    r"(?P<command>`[^`]*`|\bparedown [a-z]+ [^;,)]*)|(?<![a-z])--(?P<flag>[a-z]+(?:-[a-z]+)*)"
)  # a command stays as it is typed
_ARGUMENTS = {"tdp": "tdp_w", "from": "begin_from", "as": "form", "output": "folder", "budget": "budgets"}


def names_arguments(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """The function, whose lines of BadInput say `beam_size` for `--beam-size`."""

    @wraps(function)
    def called(*given: Given.args, **named: Given.kwargs) -> Result:
        try:
            return function(*given, **named)
        except BadInput as error:
            error.args = (_WORDS.sub(_word, str(error)),)
            raise

    return called


def _word(found: re.Match[str]) -> str:
    flag = found["flag"]  # none in a command, which stays as it is typed
    return found["command"] if flag is None else _ARGUMENTS.get(flag, flag.replace("-", "_"))
