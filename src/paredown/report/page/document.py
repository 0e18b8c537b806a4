"""The HTML around the figures. Everything that comes from data goes in as JSON, in which no character can end the element it stands in."""

import html
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from paredown.errors import BadInput
from paredown.report.output_file import check_output_file
from paredown.whole_file import whole_file

LIMIT_BYTES = 5_900_000
SCRIPTS = ("format.js", "chart.js", "front.js", "table.js", "card.js", "blocks.js", "sections.js", "report.js")


def render(payload: Mapping[str, Any], title: str) -> str:
    """The whole document."""
    scripts = "\n".join(f"<script>\n{_asset(name)}</script>" for name in SCRIPTS)
    return Template(_asset("template.html")).substitute(
        title=html.escape(title), style=_asset("report.css"), plotly=_plotly(), data=to_script(payload), scripts=scripts
    )


def write_document(path: Path, text: str) -> None:
    """Whole or not at all. Raises BadInput where the file cannot be written."""
    check_output_file(path, "the report")
    try:
        with whole_file(path) as fresh:
            fresh.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"the report {path} cannot be written: {error.strerror}") from error


def weigh(payload: Mapping[str, Any]) -> int:
    """Bytes of the document with this in it."""
    return len(render(payload, "").encode())


def to_script(value: Any) -> str:
    """JSON that may stand in a script element: no "<", so that nothing in it ends the element or begins a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _asset(name: str) -> str:
    return (resources.files("paredown.report.page") / "assets" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
