"""Paths in arguments, at any depth, are replaced and put back; nothing else changes."""

from pathlib import Path

import numpy as np

from paredown.cluster.travel import place_paths, send_paths
from paredown.data import Split, Utterance
from paredown.trials.timing import Device, Timed


def test_paths_travel_and_the_rest_stays(tmp_path: Path) -> None:
    bundle, audio, absent = tmp_path / "bundle", tmp_path / "a.wav", tmp_path / "absent"
    bundle.mkdir()
    audio.write_bytes(b"")
    numbers = np.arange(3)
    split = Split("search", (Utterance("a", audio, "x", None),))
    value = ({"reference": Timed(bundle, 2)}, [audio, absent], split, Device(1), numbers, "text", None)
    sent: list[Path] = []

    def number_of(path: Path) -> int:
        sent.append(path)
        return len(sent) - 1

    travelling = send_paths(value, number_of)
    assert sent == [bundle, audio, audio]
    assert str(bundle) not in repr(travelling)
    assert str(audio) not in repr(travelling)
    there = [Path("/there/bundle"), Path("/there/0.wav"), Path("/there/0.wav")]
    arrived = place_paths(travelling, there)
    assert arrived[0] == {"reference": Timed(there[0], 2)}
    assert arrived[1] == [there[1], absent]
    assert arrived[2] == Split("search", (Utterance("a", there[2], "x", None),))
    assert all(new is old for new, old in zip(arrived[3:], value[3:], strict=True))
    assert value[2].utterances[0].audio == audio  # the sender's own is untouched
