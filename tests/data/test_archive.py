"""Audio in archives, against what kaldiio writes for ESPnet, byte by byte; and archives that hold none."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from paredown.data import load_split
from paredown.data.archive import copy_out, split_reference
from paredown.errors import BadInput


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def encoded(kind: str, seed: int = 0, samples: int = 4000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(seed).normal(0, 0.1, samples), 16_000, format=kind)
    return buffer.getvalue()


def framed(content: bytes) -> bytes:
    """As kaldiio's `soundfile_flac`: AUDIO, how many bytes the length has, the length, the file."""
    digits = (len(content).bit_length() + 7) // 8
    return b"AUDIO" + bytes([digits]) + len(content).to_bytes(digits, "little") + content


def write_dump(root: Path, blobs: list[bytes]) -> Path:
    """`dump/raw/dev` of a recipe whose audio lies in one archive."""
    folder = root / "dump" / "raw" / "dev"
    folder.mkdir(parents=True)
    (root / "exp").mkdir()
    archive, lines = b"", []
    for number, blob in enumerate(blobs):
        archive += f"u{number} ".encode()
        lines.append(f"u{number} dump/raw/dev/data_wav.ark:{len(archive)}")
        archive += blob
    (folder / "data_wav.ark").write_bytes(archive)
    (folder / "wav.scp").write_text("\n".join(lines) + "\n")
    (folder / "text").write_text("".join(f"u{number} hello\n" for number in range(len(blobs))))
    return folder


def test_flac_and_wav_come_out_as_they_went_in(tmp_path: Path, cache: Path) -> None:
    contents = [encoded("FLAC"), encoded("WAV", seed=1), encoded("WAV", seed=2, samples=70_000)]
    split = load_split(write_dump(tmp_path, [framed(contents[0]), framed(contents[1]), contents[2]]))
    found = [utterance.audio for utterance in split.utterances]
    assert [path.read_bytes() for path in found] == contents
    assert [path.suffix for path in found] == [".flac", ".wav", ".wav"]
    assert {path.parent for path in found} == {cache / "audio"}
    assert soundfile.info(found[0]).frames == 4000
    before = [path.stat().st_mtime_ns for path in found]
    assert load_split(tmp_path / "dump" / "raw" / "dev") == split
    assert [path.stat().st_mtime_ns for path in found] == before  # copied once


def test_a_copy_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    folder = write_dump(tmp_path, [framed(encoded("FLAC"))])
    copy = load_split(folder).utterances[0].audio
    copy.write_bytes(b"fLaC")
    assert load_split(folder).utterances[0].audio.read_bytes() == encoded("FLAC")


@pytest.mark.parametrize(
    "blob",
    [
        b"\0BFM \4\x02\0\0\0",  # a matrix of features
        b"fLaC" + bytes(40),  # without a length, nobody knows where it ends
        framed(encoded("FLAC"))[:-10],
        framed(b"PKL of something"),
        b"AUDIO",
        b"RIFF\xff\xff\xff\xffWAVE",
        b"",
    ],
)
def test_what_is_no_whole_audio_file_is_refused(tmp_path: Path, blob: bytes, cache: Path) -> None:
    with pytest.raises(BadInput, match=r"data_wav\.ark holds none at 3; .*--audio_format flac") as caught:
        load_split(write_dump(tmp_path, [blob]))
    assert "\n" not in str(caught.value)
    assert not cache.exists()


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = write_dump(tmp_path, [framed(encoded("FLAC"))])
    (folder / "data_wav.ark").unlink()
    with pytest.raises(BadInput, match=r"line 1: the audio file .*data_wav\.ark:3 does not exist"):
        load_split(folder)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.ark").write_bytes(framed(encoded("FLAC")))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "file"))
    with pytest.raises(BadInput, match="the cache folder must be writable"):
        copy_out(tmp_path / "a.ark", 0)


def test_only_an_archive_with_an_offset_is_a_reference() -> None:
    assert split_reference("dump/raw/data_wav.ark:12") == ("dump/raw/data_wav.ark", 12)
    assert [split_reference(name) for name in ("a.wav", "a.ark", "a.ark:", "a.ark:-1", "a.ark:1[0:3]")] == [None] * 5
