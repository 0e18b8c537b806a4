"""The base of every table of a study file, and the kinds of value that several of them have."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]
Whole = Annotated[int, BeforeValidator(lambda value: _refuse_bool(value, "a whole number"))]
Real = Annotated[float, BeforeValidator(lambda value: _refuse_bool(value, "a number"))]


class Section(BaseModel):
    """A table of the study file: frozen, and no key is accepted that it does not have."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


def _refuse_bool(value: Any, rule: str) -> Any:
    """TOML's true is no number, though pydantic takes it for 1."""
    if isinstance(value, bool):
        raise ValueError(f"must be {rule}, got {str(value).lower()}")
    return value
