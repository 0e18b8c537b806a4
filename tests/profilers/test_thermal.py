"""Temperatures and slow-downs of faked machines."""

from pathlib import Path

from paredown.profilers.thermal import Thermal, read_thermal


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_the_hottest_processor_sensor_counts_and_no_other(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "sys/class/hwmon/hwmon0/name": "nvme\n",
            "sys/class/hwmon/hwmon0/temp1_input": "99000\n",
            "sys/class/hwmon/hwmon1/name": "coretemp\n",
            "sys/class/hwmon/hwmon1/temp1_input": "61000\n",
            "sys/class/hwmon/hwmon1/temp2_input": "64500\n",
            "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp\n",
            "sys/class/thermal/thermal_zone0/temp": "70000\n",
        },
    )
    assert read_thermal(root) == Thermal(64.5, None)


def test_a_thermal_zone_stands_in_where_there_is_no_monitor(tmp_path: Path) -> None:
    files = {
        "sys/class/thermal/thermal_zone0/type": "acpitz",
        "sys/class/thermal/thermal_zone0/temp": "20000",
        "sys/class/thermal/thermal_zone1/type": "cpu-thermal",
        "sys/class/thermal/thermal_zone1/temp": "48250",
    }
    assert read_thermal(write(tmp_path, files)).temperature_c == 48.25


def test_slow_downs_of_all_cores_are_summed(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu"
    files = {f"{cpu}/cpu{core}/thermal_throttle/core_throttle_count": f"{3 + core}\n" for core in range(2)}
    files[f"{cpu}/cpu0/thermal_throttle/package_throttle_count"] = "100"
    before = read_thermal(write(tmp_path, files))
    write(tmp_path, {f"{cpu}/cpu1/thermal_throttle/core_throttle_count": "9"})
    assert read_thermal(tmp_path).slowed_since(before) == 5


def test_two_logical_cores_of_one_count_once(tmp_path: Path) -> None:
    files = {}
    for logical, core in ((0, 0), (1, 0), (2, 1)):
        cpu = f"sys/devices/system/cpu/cpu{logical}"
        files |= {f"{cpu}/thermal_throttle/core_throttle_count": f"{5 + core}", f"{cpu}/topology/core_id": f"{core}"}
        files[f"{cpu}/topology/physical_package_id"] = "0"
    assert read_thermal(write(tmp_path, files)).throttled == 5 + 6


def test_what_cannot_be_read_is_unknown_and_not_zero(tmp_path: Path) -> None:
    silent = read_thermal(tmp_path)
    assert silent == Thermal(None, None)
    assert silent.slowed_since(Thermal(50.0, 4)) is None
    assert Thermal(50.0, 4).slowed_since(silent) is None
    files = {"sys/class/hwmon/hwmon0/name": "k10temp", "sys/class/hwmon/hwmon0/temp1_input": "not a number"}
    assert read_thermal(write(tmp_path, files)).temperature_c is None
