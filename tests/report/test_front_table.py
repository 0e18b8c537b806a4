"""The front as a table: its columns follow the objectives, whatever their number."""

from dataclasses import replace

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


def lines(row: FrontRow, width: int = 200) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(front_table("front of x", [row], OBJECTIVES, "said below"))
    return capture.get().splitlines()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]


def test_every_target_has_its_column() -> None:
    told = lines(ROW)
    assert cells(told[2]) == [
        "trial",
        "made of",
        "quality chrF",
        "latency@cpu ms",
        "latency@cuda ms, ESTIMATED",
        "size MB",
        "x at fixed tokens",
        "tokens",
        "feasible",
    ]
    assert cells(told[4]) == ["4", "4 bits [best]", "-1.23 [-2.00, -0.50]", "50.0 [49.0, 51.0]", "9.0", "3.25", "0.50", "12.5", "yes"]


def test_columns_that_have_nothing_to_say_are_left_out() -> None:
    told = lines(replace(ROW, alike="12, 17", on_front="yes", confirmed=""))
    assert cells(told[2])[2] == "on front"
    assert cells(told[2])[-3:] == ["≈", "feasible", "no loss"]
    assert cells(told[4])[-3:] == ["12, 17", "yes", ""]
    console = Console(width=200)
    with console.capture() as capture:
        console.print(front_table("front of x", [], OBJECTIVES, "said below"))
    assert "said below" in capture.get()


def test_it_is_whole_on_a_screen_of_eighty_columns() -> None:
    told = "\n".join(lines(replace(ROW, alike="12, 17"), width=80))
    assert "…" not in told
    assert "ESTIMATED" in told.replace("\n", "") or "ESTI" in told
