"""The front as a table: its columns follow the objectives, whatever their number, and its width the screen."""

from dataclasses import replace

import pytest
from rich.console import Console

from paredown.profilers.measurement import Measurement
from paredown.report.front_table import FrontRow, front_table
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome

OBJECTIVES = (
    Objective("quality", "maximize", "chrF"),
    Objective("latency_ms@cpu", "minimize", "ms", "log"),
    Objective("latency_ms@cuda", "minimize", "ms", "log"),
    Objective("size_bytes", "minimize", "bytes", "log"),
)
OUTCOME = Outcome(
    (
        ("quality", Measurement(-1.234, "chrF", (-2.0, -0.5), detail=(("tokens", 12.5),))),
        ("latency_ms@cpu", Measurement(50.0, "ms", (49.0, 51.0), detail=(("fixed_tokens_ratio", 0.5),))),
        ("latency_ms@cuda", Measurement(9.0, "ms", provenance="estimated")),
        ("size_bytes", Measurement(3.25e6, "bytes")),
    )
)
ROW = FrontRow("4", "4 bits [best]", OUTCOME, (-1.234, 50.0, 9.0, 3.25e6), "yes")
LONG = "3.55 bits; 6 decoder blocks; zeros: encoder.feed_forward 20%, encoder.self_attn 20%, decoder.feed_forward 20%"
FINAL = {"quality": Measurement(-12.25, "chrF", (-15.0, -10.0)), "latency_ms@cpu": Measurement(1051.5, "ms", (1011.0, 1092.0))}
ENERGY = Objective("energy_mj@cpu", "minimize", "mJ", "log")


def lines(*rows: FrontRow, width: int = 200, objectives: tuple[Objective, ...] = OBJECTIVES) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(front_table("front of x", rows, objectives, ["said below"]))
    return capture.get().splitlines()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]


def crowded() -> FrontRow:
    """Everything a row can have, in a study with five objectives."""
    figures = OUTCOME.measurement_of | {
        "energy_mj@cpu": Measurement(12345.6, "mJ", (12000.1, 12800.2)),
        "latency_ms@cpu": Measurement(1050.0, "ms", (1049.0, 1051.0), detail=(("fixed_tokens_ratio", 0.5),)),
    }
    outcome, values = Outcome(tuple(figures.items())), (-1.234, 1050.0, 9.0, 3.25e6, 12345.6)
    row = replace(ROW, trial="1234", study="a-study-with-a-very-long-name-of-its-own", made_of=LONG, outcome=outcome, values=values)
    told = replace(row, feasible="no: size 800 kB above, quality 2 chrF below", alike="1, 2, 3 +9")
    return replace(told, on_front="yes", confirmed="no", final=FINAL)


def test_every_target_has_its_column() -> None:
    told = lines(ROW)
    assert cells(told[2]) == [
        "trial",
        "made of",
        "quality chrF",
        "latency@cpu ms",
        "latency@cuda ms, ~ ESTIMATED",
        "size MB",
        "x at fixed tokens",
        "tokens",
        "feasible",
    ]
    assert cells(told[4]) == ["4", "4 bits [best]", "-1.23 [-2.00, -0.50]", "50.0 [49.0, 51.0]", "~9.0", "3.25", "0.50", "12.5", "yes"]


def test_columns_that_have_nothing_to_say_are_left_out() -> None:
    told = lines(replace(ROW, alike="12, 17", on_front="yes", confirmed=""))
    assert cells(told[2])[2] == "on front"
    assert cells(told[2])[-3:] == ["≈", "feasible", "no loss"]
    assert cells(told[4])[-3:] == ["12, 17", "yes", ""]
    assert "feasible" not in "".join(lines(replace(ROW, feasible="")))
    assert "said below" in "\n".join(lines())


def test_where_it_does_not_fit_what_a_trial_is_made_of_goes_below_its_figures() -> None:
    row = replace(ROW, made_of=LONG, alike="12, 17", values=(-1.234, 50.0, 3.25e6))
    told = lines(row, width=80, objectives=(*OBJECTIVES[:2], OBJECTIVES[3]))
    assert [line.rstrip() for line in told] == [
        "front of x",
        "trial               quality            latency  size   x at  tokens  within",
        "                       chrF             cpu ms    MB  fixed          budget",
        "─" * 75,
        "4      -1.23 [-2.00, -0.50]  50.0 [49.0, 51.0]  3.25   0.50    12.5     yes",
        "       3.55 bits; 6 decoder blocks; zeros: encoder.feed_forward 20%,",
        "       encoder.self_attn 20%, decoder.feed_forward 20%; ≈ 12, 17",
        "said below",
        "Brackets hold 95 % intervals.",
    ]


def test_intervals_shrink_to_their_farther_end_where_brackets_do_not_fit() -> None:
    """-2.00 lies 0.77 from -1.23, -0.50 lies 0.73 from it."""
    told = lines(replace(ROW, made_of=LONG), width=72)
    assert "-1.23 ±0.77  50.0 ±1.0" in told[4]
    assert "~9.0" in told[4]
    assert any(line.startswith("±: the farther end of the 95 % interval") for line in told)
    assert any("ESTIMATED, not measured: latency_ms@cuda." in line for line in told)


@pytest.mark.parametrize("width", [60, 72, 80, 100, 140])
def test_no_line_is_wider_than_the_screen_and_no_figure_is_folded(width: int) -> None:
    row = crowded()
    told = lines(row, replace(row, trial="1", final={}), replace(row, trial="12", alike=""), width=width, objectives=(*OBJECTIVES, ENERGY))
    assert max(map(len, told)) <= width
    words = set(" ".join(told).split())
    assert {"1234", "~9.0", "3.25"} <= words
    assert any("12345.6" in word for word in words)
    assert any("1051.5" in word for word in words)
    assert "a-study-with-a-very-long-name-of-its-own" in " ".join(told)
    assert "misses size 800 kB above, quality 2 chrF below" in " ".join(" ".join(told).split())


def test_what_is_left_out_for_want_of_room_is_named() -> None:
    row = crowded()
    narrow = " ".join(" ".join(lines(row, width=60, objectives=(*OBJECTIVES, ENERGY))).split())
    assert "Left out for want of room: x at fixed tokens, tokens" in narrow
    assert "Left out" not in " ".join(lines(row, width=140, objectives=(*OBJECTIVES, ENERGY)))


def test_final_figures_stand_below_those_of_the_search() -> None:
    told = lines(replace(ROW, made_of=LONG, final=FINAL), width=90)
    assert told[3].split() == ["test", "strict"]
    assert "-1.23" in told[5]
    assert "-12.25" in told[6]
    assert "1051.5" in told[6]
    unknown = replace(ROW, made_of=LONG, final={"latency_ms@cpu": Measurement.unavailable("ms", "no target")})
    assert "unavailable" in "".join(lines(unknown, width=90))
    assert "n/a: unavailable on this machine." in lines(unknown, width=72)
