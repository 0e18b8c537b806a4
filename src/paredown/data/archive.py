"""Audio inside an archive, as ESPnet dumps it with `--audio_format flac.ark` or `wav.ark`: `data_wav.ark:OFFSET`.

At the offset stands what kaldiio writes: `AUDIO`, one byte that says how many bytes the length has, the length (little-endian) and a whole
FLAC or WAV file; or, as Kaldi writes it, a WAV file alone, whose header tells its length. Everything else that reads audio takes files, so
the audio is copied, as it stands, into the user's cache under the SHA-256 of its bytes.
"""

import hashlib
import os
import re
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO

from paredown.errors import BadInput
from paredown.user_cache import cache_folder, unwritable

_REFERENCE = re.compile(r"(?P<archive>.+\.ark):(?P<offset>\d{1,18})")
_SUFFIXES = {b"fLaC": ".flac", b"RIFF": ".wav", b"OggS": ".ogg"}
_ENDLESS = (0, 0xFFFFFFFF)  # lengths in the header of a WAV file that was written to a pipe


def split_reference(audio: str) -> tuple[str, int] | None:
    """Archive and offset of `ARCHIVE.ark:OFFSET`; None for a plain file."""
    found = _REFERENCE.fullmatch(audio)
    return None if found is None else (found["archive"], int(found["offset"]))


def archive_copies() -> Path:
    """The folder of the cache in which audio of archives lies."""
    return cache_folder() / "audio"


def copy_out(archive: Path, offset: int) -> Path:
    """A file with the audio at an offset of an archive.

    Raises BadInput, one line, where there is no whole FLAC or WAV file, or the cache cannot be written.
    """
    try:
        with archive.open("rb") as file:
            content = _read_audio(file, offset)
    except OSError as error:
        raise BadInput(f"{archive} cannot be read: {error.strerror}") from None
    if content is None:
        raise BadInput(
            f"an archive must hold whole FLAC or WAV files, {archive} holds none at {offset}; "
            "dump the audio as files: stage 3 of the recipe with --audio_format flac"
        )
    path = archive_copies() / (hashlib.sha256(content).hexdigest() + _SUFFIXES[content[:4]])
    if not path.is_file() or path.stat().st_size != len(content):
        _write(path, content)
    return path


def _read_audio(file: BinaryIO, offset: int) -> bytes | None:
    file.seek(offset)
    magic = file.read(5)
    if magic == b"AUDIO":
        digits = file.read(1)
        length = int.from_bytes(file.read(digits[0]), "little") if digits else 0
    elif magic[:4] == b"RIFF":
        length = int.from_bytes(magic[4:] + file.read(3), "little")
        length = 0 if length in _ENDLESS else length + 8
        file.seek(offset)
    else:
        return None
    if length > os.fstat(file.fileno()).st_size - file.tell():
        return None  # cut short, or no length at all
    content = file.read(length)
    return content if content[:4] in _SUFFIXES else None


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, suffix=".new", delete=False) as fresh:
            fresh.write(content)
        os.replace(fresh.name, path)
    except OSError as error:
        raise unwritable(path.parent, error) from None
