"""Figure 2: the second method, audio at half the sample rate, then a longer hop."""

from collections.abc import Callable

from paredown.quality import Difference
from paredown.space.configuration import Configuration, Variant
from studies.on_device_st.figure_1 import COLUMNS, panels
from studies.on_device_st.hop_rows import hop_rows, time_buildable
from studies.on_device_st.inputs import with_half_rate, with_hop
from studies.on_device_st.judging import ACCEPTED, Claim, claim, figure, interval, judge, told
from studies.on_device_st.paper import FIGURE_2, NAME, TABLE_1
from studies.on_device_st.rows import CHRF, FIRST, LOSS, RATIO, WORK, few, measured, tried
from studies.reproduction.bench import Bench
from studies.reproduction.result import Figure, Result, Row

VARIANTS: tuple[Variant, ...] = ("naive", "matched")


def make(bench: Bench) -> Result:
    """The paper's variant, whose frontend hears accelerated speech, and one whose frontend is made for the rate."""
    rows = {variant: half_rate_rows(bench, variant) for variant in VARIANTS}
    least = with_hop(bench.model, "input_size3", bench.whole)
    halved = with_half_rate(bench.model, "original", bench.whole, "naive")
    gain = None if rows["naive"][0].not_run else bench.beside("chrf", least, halved, few(bench))
    hops = hop_rows(bench)
    verdict, conclusion = judge(claims(rows["naive"], hops[-1], gain))
    drawn = draw_rows(bench, {"hop alone": hops, **{f"half rate, {variant}": found for variant, found in rows.items()}})
    together = (*rows["naive"], *rows["matched"])
    title = "Half the sample rate: quality, work and latency"
    return Result(NAME, "Figure 2", title, COLUMNS, together, verdict, conclusion, _notes(bench, rows), figure=drawn)


def draw_rows(bench: Bench, rows: dict[str, tuple[Row, ...]]) -> str:
    from studies.on_device_st.drawing import draw

    return draw(bench.output / "figure_2.png", "Figure 2: half the sample rate", panels(rows))


def half_rate_rows(bench: Bench, variant: Variant) -> tuple[Row, ...]:
    """The four input sizes at half the rate, on the first utterances of test."""
    configurations = {name: with_half_rate(bench.model, name, bench.whole, variant) for name in TABLE_1}
    timed = time_buildable(bench, configurations)

    def make(name: str, title: str, configuration: Configuration) -> Callable[[], Row]:
        return lambda: measured(bench, title, configuration, timed.get(name), _paper(name, variant), few(bench))

    titles = {name: f"{name}, {variant}" for name in TABLE_1}
    return tuple(tried(titles[name], _paper(name, variant), make(name, titles[name], one)) for name, one in configurations.items())


def _paper(name: str, variant: Variant) -> dict[str, Figure]:
    return {FIRST.name: FIGURE_2[name]} if variant == "naive" and name in FIGURE_2 else {}


def claims(naive: tuple[Row, ...], longest: Row, gain: Difference | None) -> list[Claim]:
    """`longest`: the longest hop at the full rate; `gain`: its chrF minus that of the halved rate at the usual hop, paired."""
    first = naive[0]
    whole = figure(first, CHRF.name) - figure(first, LOSS.name)
    collapses = interval(first, LOSS.name)[1] < -ACCEPTED * whole
    found = "not run" if gain is None else f"chrF {gain.value:+.1f} [{gain.ci95[0]:.1f}, {gain.ci95[1]:.1f}]"
    work = f"{told(longest, WORK.name)} beside {told(first, WORK.name)} GMACs"
    return [
        claim(
            f"half the rate loses much quality (here: more than {100 * ACCEPTED:.0f} % of chrF)",
            [first],
            f"chrF {told(first, LOSS.name, 1, True)} of {whole:.1f}",
            collapses,
        ),
        claim("it lowers latency", [first], f"{told(first, RATIO.name)} times", interval(first, RATIO.name)[1] < 1.0),
        claim(
            "a longer hop is the better trade",
            [first, longest],
            f"the longest hop leaves {found} over half the rate, at {work}",
            gain is not None and gain.ci95[0] > 0.0,
        ),
    ]


def _notes(bench: Bench, rows: dict[str, tuple[Row, ...]]) -> tuple[str, ...]:
    matched, count = rows["matched"][0], len(few(bench))
    return (
        f"Scored on the first {count} utterances of test. The paper prints no figures of this method but the bounds shown.",
        "naive is the paper's: the frontend takes 8 kHz audio for 16 kHz, so half as many frames hear speech of twice the speed and pitch.",
        f"matched makes window, hop and mel filters for the rate: as many frames as before, chrF {told(matched, LOSS.name, 1, True)}, "
        f"{told(matched, RATIO.name)} times the latency. What lies between the two variants is what accelerated speech costs and "
        "what fewer frames save.",
    )
