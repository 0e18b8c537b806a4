"""The directive `study-file`: every table and key of a study file with type, default and docstring, from the models that parse it."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from paredown.search.spec import StudySpec


class StudyFile(SphinxDirective):
    """A section for each table of the file, in the order in which a study file has them."""

    def run(self) -> list[nodes.Node]:
        return [node for name, model in tables("", StudySpec) for node in self._section(name, model)]

    def _section(self, name: str, model: type[BaseModel]) -> list[nodes.Node]:
        lines = [f"## `[{name}]`" if name else "## Top level", "", *(model.__doc__ or "").replace("\n    ", "\n").splitlines(), ""]
        lines += ["| key | type | default |", "| --- | --- | --- |"]
        lines += [
            f"| `{field.alias or key}` | {_cell(kind(field.annotation))} | {_cell(default(field))} |" for key, field in own_keys(model)
        ]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def tables(name: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """(dotted name, model) of a table and of all tables inside it."""
    yield name, model
    for key, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            yield from tables(f"{name}.{key}" if name else key, inner)


def own_keys(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The keys of a table that are no tables themselves; those have sections of their own."""
    return ((key, field) for key, field in model.model_fields.items() if not models_in(field.annotation))


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The tables that a value of this type may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def kind(annotation: Any) -> str:
    """A type as TOML knows it; None is a key that is left out, and not told."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(arguments[0])
    if origin is Literal:
        return ", ".join(f'`"{each}"`' if isinstance(each, str) else f"`{each}`" for each in arguments)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(kind(each) for each in arguments if each is not NoneType))
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of {kind(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join(kind(each) for each in arguments)}]"
    if origin is dict:
        return f"table of {kind(arguments[1])}"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}[annotation]


def default(field: FieldInfo) -> str:
    """The value of a key that is left out, as it stands in TOML."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    assert value is not PydanticUndefined
    return "none" if value is None else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{}" if not value else f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items())} }}"
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("study-file", StudyFile)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
