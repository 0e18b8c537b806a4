"""Records give back what was added, to whoever asks, and nothing that was damaged."""

import errno
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from paredown.data import Split
from paredown.data.split import Utterance
from paredown.errors import BadInput
from paredown.profilers.fingerprint import Fingerprint, read_fingerprint
from paredown.profilers.measurement import Measurement
from paredown.trials.decoding import Hypothesis, Search
from paredown.trials.records import Records, hypotheses_key, measurement_key, utterance_digests

ODD = Hypothesis("zwei\u2028Zeilen\n und „Zitat“ \ud800", (3, 1, 2), True, ((4,), (5, 6)))
PLAIN = Hypothesis("eins", (7,), False)
KEY = "k" * 64


@pytest.fixture
def machine() -> Fingerprint:
    return read_fingerprint(1)


def test_partial_decodings_grow(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert records.hypotheses(KEY) == {}
    records.add(KEY, {"a": ODD})
    records.add(KEY, {"b": PLAIN})
    records.add(KEY, {})
    assert Records(tmp_path).hypotheses(KEY) == {"a": ODD, "b": PLAIN}
    assert records.hypotheses("another") == {}


def test_a_later_figure_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    records, first = Records(tmp_path), Measurement(8.5, "ms", (8.0, 9.0), 20, target="t", detail=(("p90", 9.5),))
    assert records.measurement(KEY, "latency_ms@cpu") is None
    records.add_measurement(KEY, "latency_ms@cpu", first)
    records.add_measurement(KEY, "energy_mj@cpu", Measurement.unavailable("mJ", "no counter"))
    assert records.measurement(KEY, "latency_ms@cpu") == first
    unavailable = records.measurement(KEY, "energy_mj@cpu")
    assert unavailable is not None
    assert unavailable.provenance == "unavailable"
    records.add_measurement(KEY, "latency_ms@cpu", replace(first, value=8.6))
    assert records.measurement(KEY, "latency_ms@cpu") == replace(first, value=8.6)


@pytest.mark.parametrize("damage", ["flip", "cut", "cut before its end", "empty", "noise", "no JSON object"])
def test_damaged_lines_are_skipped_and_replaced(tmp_path: Path, damage: str) -> None:
    records = Records(tmp_path)
    records.add(KEY, {"a": ODD})
    (path,) = records.folder.iterdir()
    whole = path.read_bytes()
    records.add(KEY, {"b": PLAIN})
    data = bytearray(path.read_bytes())
    middle = (len(whole) + len(data)) // 2
    flipped = bytes([*data[:middle], data[middle] ^ 1, *data[middle + 1 :]])
    spoiled = {"flip": flipped, "cut": bytes(data[:middle]), "cut before its end": bytes(data[:-1])}
    others = {"empty": b"", "noise": os.urandom(300), "no JSON object": whole + b"%08x 17\n" % 0x8BCFFC1E}
    path.write_bytes((spoiled | others)[damage])
    left = records.hypotheses(KEY)
    assert left.items() <= {"a": ODD, "b": PLAIN}.items()
    assert ("a" in left) == (damage not in ("empty", "noise"))
    records.add(KEY, {"b": PLAIN, "c": PLAIN})
    assert records.hypotheses(KEY) == left | {"b": PLAIN, "c": PLAIN}


@pytest.mark.parametrize("line", [[1], {"a": 3}, {"a": ["text", 5, False, []]}, {"a": None}])
def test_what_has_another_form_is_unknown(tmp_path: Path, line: object) -> None:
    records = Records(tmp_path)
    records._append(KEY, line)  # type: ignore[arg-type]
    assert records.hypotheses(KEY) == {}
    assert records.measurement(KEY, "a") is None


def _add_many(folder: Path, process: int) -> None:
    records = Records(folder)
    for index in range(50):
        records.add(KEY, {f"{process}-{index}": Hypothesis("x" * 9000, (process, index), False)})  # more than a page: no lucky atomicity


def test_processes_may_add_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_many, args=(tmp_path, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(Records(tmp_path).hypotheses(KEY)) == 4 * 50


def test_a_killed_writer_spoils_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writer = context.Process(target=_add_many, args=(tmp_path, 1))
    writer.start()
    while writer.is_alive() and not Records(tmp_path).hypotheses(KEY):
        pass
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    records = Records(tmp_path)
    before = records.hypotheses(KEY)
    assert before
    records.add(KEY, {"after": PLAIN})
    assert records.hypotheses(KEY) == before | {"after": PLAIN}


def test_a_full_disk_is_said_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(tmp_path)
    records.add(KEY, {"a": ODD})
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    with pytest.raises(BadInput, match=os.strerror(errno.ENOSPC)):
        records.add(KEY, {"b": PLAIN})
    monkeypatch.undo()
    (path,) = records.folder.iterdir()
    assert path.read_bytes().count(b"\n") == 1
    assert records.hypotheses(KEY) == {"a": ODD}


def test_a_folder_that_cannot_be_written_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="must be writable"):
        Records(tmp_path / "file")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(BadInput, match="must be writable"):
        Records(tmp_path)


def test_the_keys_not_asked_for_longest_go_first(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for age, key in enumerate("abcdefghij"):
        records.add(key, {"u": Hypothesis("x" * 1000, (), False)})
        os.utime(records.folder / f"{key}.jsonl", (1e9 - age, 1e9 - age))
    records.hypotheses("j")  # the oldest, asked for again
    size = sum(path.stat().st_size for path in records.folder.iterdir())
    left = sorted(path.stem for path in Records(tmp_path, limit_bytes=size // 2).folder.iterdir())
    assert left == ["a", "b", "c", "j"]  # four tenths: 0.8 of the limit


def test_keys_follow_everything_that_determines_the_result(machine: Fingerprint) -> None:
    other = replace(machine, instructions=("sve",))
    newer = replace(machine, runtimes=(("onnxruntime", "99"),))
    keys = {
        hypotheses_key("w", "c", None, machine),
        hypotheses_key("v", "c", None, machine),
        hypotheses_key("w", "d", None, machine),
        hypotheses_key("w", "c", "calibration", machine),
        hypotheses_key("w", "c", None, other),
        hypotheses_key("w", "c", None, newer),
        hypotheses_key("w", "c", None, machine, Search(nbest=4)),
        hypotheses_key("w", "c", None, machine, teacher="t"),
        measurement_key("w", "c", None, "t", {"effort": "cheap"}),
        measurement_key("w", "c", None, "t", {"effort": "strict"}),
        measurement_key("w", "c", None, "s", {"effort": "cheap"}),
    }
    assert len(keys) == 11
    quieter = replace(machine, governor="powersave", power="battery", threads=7)  # change the speed, not the words
    assert hypotheses_key("w", "c", None, quieter, Search()) == hypotheses_key("w", "c", None, machine)


def test_an_utterance_is_what_is_heard(tmp_path: Path) -> None:
    for name, sound in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(sound)
    one, two, three = utterance_digests(Split("s", tuple(Utterance(name, tmp_path / name, name, None) for name in "abc")))
    assert one == three != two
