"""The lines of a text file."""

from pathlib import Path

from paredown.errors import BadInput


def read_lines(path: Path) -> list[str]:
    """Lines end where files end them; U+2028 and its like, which `splitlines` also takes for ends, stay inside.

    Raises BadInput if the file cannot be read or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} must be UTF-8 text") from None
