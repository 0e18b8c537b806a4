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
