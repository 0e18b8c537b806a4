"""Human units: every spelling a study file may use, and what each error says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.errors import BadInput
from paredown.search.units import (
    format_duration,
    format_size,
    format_value,
    parse_duration_s,
    parse_energy_mj,
    parse_latency_ms,
    parse_size_bytes,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("12 MB", 12_000_000),
        ("12MB", 12_000_000),
        ("1.5 GiB", 3 * 2**29),
        ("800 kB", 800_000),
        ("17", 17),
        (17, 17),
        ("1e3 B", 1000),
        ("2 MiB", 2**21),
    ],
)
def test_sizes(text: str | int, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize(("text", "latency_ms"), [("80 ms", 80.0), ("0.2 s", 200.0), ("900us", 0.9), (".5s", 500.0)])
def test_latencies(text: str, latency_ms: float) -> None:
    assert parse_latency_ms(text) == pytest.approx(latency_ms)


@pytest.mark.parametrize(("text", "energy_mj"), [("250 mJ", 250.0), ("0.2 J", 200.0), ("10Wh", 36e6)])
def test_energies(text: str, energy_mj: float) -> None:
    assert parse_energy_mj(text) == pytest.approx(energy_mj)


@pytest.mark.parametrize("text", ["250", "250 mWs", "-1 J", "0 mJ"])
def test_bad_energies_name_rule_and_value(text: str) -> None:
    with pytest.raises(BadInput, match=r"energy must .*got"):
        parse_energy_mj(text)


@pytest.mark.parametrize(("text", "seconds"), [("5 min", 300), ("10m", 600), ("1.5 h", 5400), ("90 s", 90), ("90", 90), (90, 90)])
def test_durations(text: str | int, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "MB", "12 XB", "12 mb", "twelve MB", "1 2 MB", "-3 MB", "0", "nan", "1e400 MB", True])
def test_bad_sizes_name_rule_and_value(text: str) -> None:
    with pytest.raises(BadInput, match=r"budget size must .*got") as caught:
        parse_size_bytes(text, "budget size")
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_latency_without_unit_could_mean_either() -> None:
    with pytest.raises(BadInput, match=r"latency must have a unit, one of us, µs, ms, s; got '80'"):
        parse_latency_ms("80")


@pytest.mark.parametrize("text", ["0 ms", "-1 ms", "1e999 s"])
def test_latencies_are_above_zero_and_finite(text: str) -> None:
    with pytest.raises(BadInput, match="latency must be above zero"):
        parse_latency_ms(text)


@given(st.integers(1, 10**12))
def test_a_formatted_size_reads_back_to_three_digits(size_bytes: int) -> None:
    assert parse_size_bytes(format_size(size_bytes)) == pytest.approx(size_bytes, rel=0.006)  # three digits round by half of 1 %


def test_formats() -> None:
    assert [format_duration(seconds) for seconds in (-1, 44.6, 320, 3900)] == ["0 s", "45 s", "5 min 20 s", "1 h 05 min"]
    assert [format_value(12_345_678, "bytes"), format_value(41.237, "ms")] == ["12.3 MB", "41.24 ms"]
