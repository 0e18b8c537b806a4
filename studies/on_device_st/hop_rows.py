"""The rows of the first method, which Figure 1, Figure 2 and Table 2 share: fp32 at four hops, on the whole of test."""

from collections.abc import Callable, Mapping

from paredown.errors import BadInput
from paredown.space.configuration import Configuration
from studies.on_device_st.inputs import with_hop
from studies.on_device_st.paper import TABLE_1, TABLE_2
from studies.on_device_st.rows import measured, printed, tried
from studies.on_device_st.timing import Timings, time_together
from studies.reproduction.bench import Bench
from studies.reproduction.result import Row


def hop_configurations(bench: Bench, base: Configuration) -> dict[str, Configuration]:
    return {name: with_hop(bench.model, name, base) for name in TABLE_1}


def hop_rows(bench: Bench) -> tuple[Row, ...]:
    """The paper's figures are those of Table 2."""
    configurations = hop_configurations(bench, bench.whole)
    timed = time_buildable(bench, configurations)

    def make(name: str) -> Callable[[], Row]:
        return lambda: measured(bench, name, configurations[name], timed.get(name), printed(TABLE_2["float32"][name]))

    return tuple(tried(name, printed(TABLE_2["float32"][name]), make(name)) for name in TABLE_1)


def time_buildable(bench: Bench, configurations: Mapping[str, Configuration]) -> Timings:
    """Latency of those that the model can be made into; why the others cannot, their own rows say."""
    return time_together(bench, {name: one for name, one in configurations.items() if _can_be(bench, one)})


def _can_be(bench: Bench, configuration: Configuration) -> bool:
    try:
        bench.workshop.foretell(configuration)
    except BadInput:
        return False
    return True
