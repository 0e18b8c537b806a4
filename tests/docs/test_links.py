"""Links between pages and to files of the repository lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.commands import ROOT, pages, prose

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NAMED = re.compile(r"`((?:studies|src|docs|tests|search|space|profilers)/[\w./-]+)`")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target.partition("#")[0] for _, line in prose(page) for target in _LINK.findall(line)]
    assert [target for target in targets if target and not target.startswith("https://") and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    named = {name for _, line in prose(page) for name in _NAMED.findall(line)}
    made = {"studies/bundled_model/cache/train"}
    assert [name for name in sorted(named - made) if not (ROOT / name).exists()] == []


def test_every_page_is_in_a_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = {line.strip() for line in index.splitlines()}
    missing = []
    for page in pages()[2:]:
        name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        if name not in listed and f"{page.parent.name}/*" not in listed:
            missing.append(name)
    assert missing == []
