"""Small text files in which Linux tells about a machine, below /proc and /sys."""

from pathlib import Path


def read_text(path: Path) -> str | None:
    """The stripped content of a file; None where it is missing, unreadable or empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
