"""NIST's own programs as an oracle: `sclite` aligns, `sc_stats` tests. They come with the Debian package sctk."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/usr/lib/sctk/bin")
MISSING = not (FOLDER / "sc_stats").exists()
_RESULT = re.compile(
    rb"# segs: *(\d+)\).*% Error: *(\S+) +(\S+)\) \(mean: *(\S+)\) \(std dev: *(\S+)\) \(Z Stat: *(\S+)\)", flags=re.DOTALL
)
_P_VALUE = re.compile(rb"\|\s+MP\s+\|\|\s+first\s+\|[^|]*\|[^|]*?(<?\d\.\d+)")


@dataclass(frozen=True)
class Printed:
    """What sc_stats prints of one pair of systems, as text: its digits are what ours are held to."""

    segments: str
    percent_errors: tuple[str, str]
    mean: str
    standard_deviation: str
    z: str
    p_value: str


def run_sc_stats(folder: Path, first: Sequence[str], second: Sequence[str], references: Sequence[str]) -> Printed:
    """MAPSSWE of two systems; the lines are words without sctk's special characters. Writes into `folder`."""
    names = {"reference": references, "first": first, "second": second}
    for name, lines in names.items():
        rows = (f"{line} (s_{number:05d})\n" for number, line in enumerate(lines))
        (folder / f"{name}.trn").write_text("".join(rows), encoding="utf-8")
    command = [FOLDER / "sclite", "-s", "-i", "spu_id", "-f", "0", "-o", "sgml", "-r", "reference.trn", "trn"]
    for name in ("first", "second"):
        command += ["-h", f"{name}.trn", "trn", name]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    alignments = b"".join((folder / f"{name}.trn.sgml").read_bytes() for name in ("first", "second"))
    detailed = _sc_stats(folder, alignments, "-v")
    unified = _sc_stats(folder, alignments, "-u")
    found, p_value = _RESULT.search(detailed), _P_VALUE.search(unified)
    assert found is not None, detailed[-500:]
    assert p_value is not None, unified
    segments, error, other, mean, deviation, z = (group.decode() for group in found.groups())
    return Printed(segments, (error, other), mean, deviation, z, p_value.group(1).decode())


def _sc_stats(folder: Path, alignments: bytes, report: str) -> bytes:
    command = [FOLDER / "sc_stats", "-p", "-t", "mapsswe", report, "-n", "-"]
    return subprocess.run(command, cwd=folder, input=alignments, check=True, capture_output=True).stdout
