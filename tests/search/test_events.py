"""The diary of a study: whole lines whatever happens, and a clear one where the disk takes none."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.search import events
from paredown.search.events import EventLog, read_events
from paredown.search.loop import run_study
from tests.search import toy


def test_every_event_and_field_of_a_study_is_documented(tmp_path: Path) -> None:
    rows = [line.split("|") for line in (events.__doc__ or "").splitlines() if line.startswith("| ") and "---" not in line]
    documented = {row[1].strip(): row[2] for row in rows}
    with toy.open_study(tmp_path, toy.toy_spec(trials=4)) as study:
        run_study(study, toy.evaluate, toy.given())
    with toy.open_study(tmp_path, toy.toy_spec(trials=4)) as study:
        run_study(study, toy.evaluate, toy.given())
    found = read_events(tmp_path / "events.jsonl")
    assert {"started", "resumed", "running", "trial started", "trial done", "stopped"} <= {event["event"] for event in found}
    for event in found:
        for field in event.keys() - {"time", "event"}:
            assert f"`{field}`" in documented[event["event"]]


def test_a_disk_that_runs_full_within_a_line(tmp_path: Path) -> None:
    """The kernel takes the beginning of a line and refuses the rest; with room again the next line stands alone."""
    path = tmp_path / "events.jsonl"
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from paredown.errors import BadInput; from paredown.search.events import EventLog\n"
        "log = EventLog(Path(sys.argv[1])); log.append('started', pid=1)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (90, resource.RLIM_INFINITY))\n"
        "for _ in range(2):\n"
        "    try: log.append('trial done', text='x' * 100)\n"
        "    except BadInput as error: print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "log.append('stopped', why='told')"
    )
    told = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    assert path.read_bytes().startswith(b'{"time"')
    rule = f"a study needs room and the right to write, {path} has not: file too large; what was finished is kept"
    assert told.splitlines() == [rule, rule]
    assert [event["event"] for event in read_events(path)] == ["started", "stopped"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_what_a_disk_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    log = EventLog(tmp_path / "events.jsonl")

    def refuse(handle: int, data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(BadInput, match=f"events.jsonl has not: {os.strerror(number).lower()}"):
            log.append("started", pid=1)
    log.append("started", pid=1)
    log.close()
    log.close()
    assert len(read_events(tmp_path / "events.jsonl")) == 1
    monkeypatch.setattr(os, "open", lambda *given, **named: refuse(0, b""))
    with pytest.raises(BadInput, match="needs room and the right to write"):
        EventLog(tmp_path / "other.jsonl")


def test_line_ends_inside_a_text_end_no_line(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    text = "a\u2028b\x85c\nd\x0ce"
    log.append("trial rejected", trial=1, reason=text)
    log.close()
    (event,) = read_events(tmp_path / "events.jsonl")
    assert event["reason"] == text
