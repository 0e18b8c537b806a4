"""Lines of steps: in a log always, on a terminal until it is given to another display."""

import pytest
from rich.console import Console

from paredown.commands import telling
from paredown.commands.telling import Telling


@pytest.mark.parametrize(("terminal", "told"), [(True, ["before"]), (False, ["before", "after"])])
def test_a_terminal_given_away_is_not_written_to(
    terminal: bool, told: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(telling, "Console", lambda **given: Console(**given, force_terminal=terminal, width=80))
    with Telling() as tell:
        tell.line("before")
        tell.stop()
        tell.line("after")
    lines = capsys.readouterr().err
    assert [word for word in ("before", "after") if word in lines] == told


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_step_is_named_again_with_how_far_it_is(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(telling, "Console", lambda **given: Console(**given, force_terminal=terminal, width=80))
    now_s = 0.0
    with Telling(lambda: now_s) as tell:
        tell.line("order of the blocks")
        now_s = 12.0
        tell.beat()
        tell.progress("divergences", 3, 40)
        now_s = 24.0
        tell.beat()  # on a terminal the bar says it
        tell.progress("divergences", 40, 40)
        tell.beat()
    told = capsys.readouterr().err
    assert "order of the blocks, for 12 s" in told
    assert "order of the blocks, for 24 s" in told
    assert ("divergences, 3 of 40, for 24 s" in told) is not terminal
