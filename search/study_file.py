"""Study files: reading them with errors a person can act on, changing them from the command line, writing them back."""

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from paredown.errors import BadInput
from paredown.search.budget import make_budget, parse_budget_option
from paredown.search.spec import StudySpec


def read_spec(path: Path) -> StudySpec:
    """The study a TOML file describes; raises BadInput on a missing or unreadable file, unknown keys and impossible values."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"a study file must exist, got {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"a study file must be readable UTF-8 text, {path} is not: {error}") from None
    return parse_spec(text, str(path))


def parse_spec(text: str, source: str = "study file") -> StudySpec:
    """The study of a TOML text; `source` names it in errors. Raises BadInput like `read_spec`."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{source} must be TOML: {error}") from None
    return make_spec(value, source)


def make_spec(value: Mapping[str, Any], source: str = "study") -> StudySpec:
    """The study of plain values; raises BadInput with one line for the first rule that is broken."""
    try:
        return StudySpec.model_validate(value)
    except ValidationError as error:
        raise BadInput(f"{source}: {_explain(_gravest(error.errors()))}") from None


def change_spec(
    spec: StudySpec, trials: int | None = None, time: str | None = None, budgets: Sequence[str] = (), seed: int | None = None
) -> StudySpec:
    """The study with settings of the command line in place of its own.

    `budgets`: such as "size=12MB"; each replaces the budget of that name. Raises BadInput like `read_spec`.
    """
    value = _plain(spec)
    settings = {"trials": trials, "time": time, "seed": seed}
    value["search"] |= {name: setting for name, setting in settings.items() if setting is not None}
    for option in budgets:
        name, limit = parse_budget_option(option)
        make_budget(name, limit)
        value["budgets"][name] = limit
    return make_spec(value, "command line")


def spec_schema() -> dict[str, Any]:
    """JSON schema of study files."""
    return StudySpec.model_json_schema()


def write_spec(spec: StudySpec, path: Path) -> None:
    """Writes the study as TOML, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(to_toml(spec), encoding="utf-8")
    os.replace(fresh, path)


def to_toml(spec: StudySpec) -> str:
    """The study as run: TOML with every default written out. Reading it gives the same study."""
    value = _plain(spec)
    lines = [f"name = {_toml(value.pop('name'))}"]
    for section, entries in value.items():
        lines += ["", f"[{section}]", *(f"{_key(key)} = {_toml(entry)}" for key, entry in entries.items())]
    return "\n".join(lines) + "\n"


def _plain(spec: StudySpec) -> dict[str, Any]:
    value: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return value


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() else json.dumps(key)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(entry) for entry in value) + "]"
    # A JSON string, number or boolean is a TOML one, but for DEL, which JSON leaves bare.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _gravest(errors: Sequence[ErrorDetails]) -> ErrorDetails:
    """An unknown key before all else: a misspelt one is also reported as missing."""
    return next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])


def _explain(error: ErrorDetails) -> str:
    """One line: where, the rule, the value; for an unknown key the nearest known one."""
    place = ".".join(str(part) for part in error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _known_keys(error["loc"][:-1])
        near = get_close_matches(str(error["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}"
        return f"unknown key {place!r}; {hint}"
    if kind == "missing":
        return f"the key {place!r} is required"
    if kind == "value_error":
        rule = error["msg"].removeprefix("Value error, ")
        return f"{place}: {rule}" if place else rule
    rule = error["msg"].replace("Input should", "must")
    return f"{place}: {rule[0].lower() + rule[1:]}, got {error['input']!r}"


def _known_keys(place: tuple[int | str, ...]) -> list[str]:
    """Keys of the table at this place of a study file."""
    kind: type[BaseModel] = StudySpec
    for part in place:
        (field,) = (field for name, field in kind.model_fields.items() if part in (name, field.alias))
        kind = _section(field.annotation)
    return [field.alias or name for name, field in kind.model_fields.items()]


def _section(annotation: Any) -> type[BaseModel]:
    """The table class behind `T` or `T | None`."""
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    (found,) = (option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
    return found
