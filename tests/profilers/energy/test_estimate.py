from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.profilers.energy.estimate import EstimateSource, process_cpu_s
from paredown.profilers.energy.tdp import _table, find_tdp_w, read_processor, spell
from tests.profilers.energy.trees import write_cpuinfo

CPU = "Intel(R) Core(TM) i7-8565U CPU @ 1.80GHz"


@pytest.mark.parametrize(
    ("model", "tdp_w"),
    [
        (CPU, 15.0),
        ("AMD EPYC 7763 64-Core Processor", 280.0),
        ("AMD Ryzen Threadripper PRO 5995WX 64-Cores", 280.0),
        ("Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", 135.0),
        ("AMD EPYC", None),
        ("Intel(R) Core(TM) i7-8565", None),
    ],
)
def test_the_table_knows_whole_names_only(model: str, tdp_w: float | None) -> None:
    assert find_tdp_w(model) == tdp_w


def test_the_table_is_in_its_own_spelling() -> None:
    table = _table()
    assert len(table) > 3000
    assert all(spell(model) == model for model in table)
    assert all(0.5 <= tdp_w <= 1000.0 for tdp_w in table.values())


def test_cores_are_counted_and_not_threads(tmp_path: Path) -> None:
    write_cpuinfo(tmp_path, CPU, packages=2, cores=4, threads=2)
    processor = read_processor(tmp_path)
    assert (processor.sockets, processor.cores, processor.virtual) == (2, 8, False)
    assert EstimateSource(tmp_path).core_w == 15.0 / 4


def test_watts_and_cores_can_be_given(tmp_path: Path) -> None:
    write_cpuinfo(tmp_path, "Unheard Of 1")
    assert EstimateSource(tmp_path, tdp_w=100.0).core_w == 25.0
    assert EstimateSource(tmp_path, tdp_w=100.0, tdp_cores=50).core_w == 2.0


def test_an_unknown_processor_asks_for_its_watts(tmp_path: Path) -> None:
    write_cpuinfo(tmp_path, "Unheard Of 1")
    with pytest.raises(BadInput, match="no thermal design power of Unheard Of 1: give it as tdp_w"):
        EstimateSource(tmp_path)


def test_a_virtual_machine_asks_for_both(tmp_path: Path) -> None:
    write_cpuinfo(tmp_path, CPU, flags="fpu hypervisor")
    with pytest.raises(BadInput, match="give tdp_w and tdp_cores of the package"):
        EstimateSource(tmp_path, tdp_w=15.0)
    assert EstimateSource(tmp_path, tdp_w=15.0, tdp_cores=4).core_w == 3.75


def test_watts_must_be_positive(tmp_path: Path) -> None:
    write_cpuinfo(tmp_path, CPU)
    with pytest.raises(BadInput, match="tdp_w must be above 0, got 0"):
        EstimateSource(tmp_path, tdp_w=0.0)


def test_cpu_time_grows_with_work() -> None:
    before = process_cpu_s()
    sum(range(1_000_000))
    assert process_cpu_s() > before
