"""Measurements: a value never travels without unit, interval and provenance, and survives JSON."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.profilers.measurement import Measurement

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
details = st.dictionaries(
    st.text(max_size=8), st.none() | st.booleans() | finite | st.text(max_size=8) | st.tuples(finite, finite), max_size=3
)


@settings(max_examples=50)
@given(value=finite, ends=st.none() | st.tuples(finite, finite), samples=st.integers(0, 10**6), detail=details)
def test_json_gives_back_an_equal_measurement(
    value: float, ends: tuple[float, float] | None, samples: int, detail: dict[str, object]
) -> None:
    ci95 = None if ends is None else (min(ends), max(ends))
    measured = Measurement(value, "ms", ci95, samples, "measured", tuple(detail.items()))  # type: ignore[arg-type]
    again = Measurement.from_json(measured.to_json())
    assert again == measured
    assert again.to_json() == measured.to_json()
    assert hash(again) == hash(measured)


def test_unavailable_is_null_in_json_and_never_zero() -> None:
    missing = Measurement.unavailable("mJ", "RAPL is readable by root only")
    assert '"value":null' in missing.to_json()
    again = Measurement.from_json(missing.to_json())
    assert math.isnan(again.value)
    assert again.detail_of == {"reason": "RAPL is readable by root only"}
    assert again.provenance == "unavailable"


def test_order_of_the_detail_does_not_matter() -> None:
    assert Measurement(1, "ms", detail=(("b", 1.0), ("a", 2.0))) == Measurement(1, "ms", detail=(("a", 2.0), ("b", 1.0)))


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"value": math.nan}, "NaN exactly when"),
        ({"value": 0.0, "provenance": "unavailable"}, "NaN exactly when"),
        ({"value": 1.0, "provenance": "guessed"}, "provenance must be one of measured, estimated, unavailable, got 'guessed'"),
        ({"value": 1.0, "samples": -1}, "samples must be at least 0, got -1"),
        ({"value": 1.0, "ci95": (2.0, 1.0)}, r"from low to high, got \(2.0, 1.0\)"),
        ({"value": 1.0, "detail": (("a", 1), ("a", 2))}, "each key once"),
    ],
)
def test_impossible_measurements_are_refused(arguments: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Measurement(unit="ms", **arguments)  # type: ignore[arg-type]


def test_json_with_other_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="has the keys"):
        Measurement.from_json('{"value": 1.0}')
    with pytest.raises(ValueError, match="JSON object, got list"):
        Measurement.from_json("[]")
