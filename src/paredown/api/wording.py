"""Errors of the Python API name its arguments where the command line names flags."""

import inspect
import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from paredown.errors import BadInput

Given = ParamSpec("Given")
Result = TypeVar("Result")

_FLAGS = re.compile(r"(?:`[^`]*`|\b(?:paredown|pip|ray) [a-z]+ [^;,)]*)|(?<![\w./-])--(?P<flag>[a-z]+(?:-[a-z]+)*)(?![\w-])")
_ARGUMENTS = {"tdp": "tdp_w", "from": "begin_from", "as": "form", "output": "folder", "budget": "budgets", "no-test": "unseen"}


def names_arguments(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """The function, whose lines of BadInput say `beam_size` for `--beam-size`: of its own arguments alone, and not inside a command."""
    known = set(inspect.signature(function).parameters)

    def word(found: re.Match[str]) -> str:
        flag = found["flag"] or ""
        name = _ARGUMENTS.get(flag, flag.replace("-", "_"))
        return name if name in known else found[0]

    @wraps(function)
    def called(*given: Given.args, **named: Given.kwargs) -> Result:
        try:
            return function(*given, **named)
        except BadInput as error:
            error.args = (_FLAGS.sub(word, str(error)),)
            raise

    return called
