"""The documentation builds without a warning, and reads nothing from a network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.commands import ROOT

_LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=["'](?:https?:)?//[^"']+""")


@pytest.mark.slow
def test_it_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(tmp_path / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "html").rglob("*.html"))
    assert len(pages) > 25
    assert [(page.name, found) for page in pages for found in _LOADED.findall(page.read_text(encoding="utf-8"))] == []
    formulas = (tmp_path / "html" / "concepts" / "widths.html").read_text(encoding="utf-8")
    assert formulas.count("<math") > 5
