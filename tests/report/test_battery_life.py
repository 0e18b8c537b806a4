"""How many utterances a charge carries."""

import pytest

from paredown.report.battery_life import BatteryLife


def test_ten_watt_hours_are_thirty_six_kilojoules() -> None:
    life = BatteryLife.of(10.0, energy_mj=360.0, ci95_mj=(300.0, 400.0), audio_s=3.6)
    assert life.utterances == pytest.approx(100_000)
    assert life.utterances_ci95 == pytest.approx((90_000, 120_000))
    assert life.speech_hours == pytest.approx(100.0)
    assert str(life) == "10 Wh carry 100,000 utterances (90,000 to 120,000), 100 hours of speech"


def test_three_digits_are_told() -> None:
    assert str(BatteryLife.of(50.0, energy_mj=777.0)) == "50 Wh carry 232,000 utterances"
    assert str(BatteryLife.of(0.001, energy_mj=5000.0)) == "0.001 Wh carry 0.72 utterances"
    assert str(BatteryLife.of(1.0, energy_mj=2.5e6, audio_s=3700.0)) == "1 Wh carry 1.44 utterances, 1.48 hours of speech"


def test_an_interval_that_reaches_zero_gives_none() -> None:
    assert BatteryLife.of(10.0, 5.0, (-1.0, 11.0)).utterances_ci95 is None


@pytest.mark.parametrize(("charge_wh", "energy_mj"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (1.0, float("nan"))])
def test_nothing_is_carried_for_nothing(charge_wh: float, energy_mj: float) -> None:
    with pytest.raises(ValueError, match="charge and energy must be above zero"):
        BatteryLife.of(charge_wh, energy_mj)
