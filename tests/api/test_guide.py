"""Every snippet of `docs/guides/python.md` runs, in order, in a folder with a tiny study, a tiny model and a few seconds of noise."""

import shutil
from pathlib import Path

import pytest

from tests.commands.tiny import write_model, write_split, write_study
from tests.docs.commands import ROOT, fences

GUIDE = ROOT / "docs" / "guides" / "python.md"
QUICKER = {
    '"-1.0"': '"-100"',  # a random model's chrF means nothing
    'time="5 min"': "trials=4",
    "trials=3": "trials=2",
    '"data/search")': '"data/search", workers=1)',
    "latency=False": "latency=False, workers=1",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What the guide takes as given."""
    study = write_study(tmp_path / "tiny")
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "quickstart.toml").write_text(study.read_text().replace('name = "tiny"', 'name = "quickstart"'))
    write_model(tmp_path / "exp" / "asr")
    for split in ("analysis", "search"):
        write_split(tmp_path / "data" / split)
    shutil.copy(tmp_path / "data" / "search" / "0.wav", tmp_path / "speech.wav")
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_snippet_runs(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(place)
    monkeypatch.delenv("PAREDOWN_RUNS", raising=False)
    names: dict[str, object] = {}
    snippets = [fence for fence in fences(GUIDE) if fence.language == "python"]
    assert len(snippets) == 6
    unused = set(QUICKER)
    for snippet in snippets:
        text = snippet.text
        for part, instead in QUICKER.items():
            unused -= {part} if part in text else set()
            text = text.replace(part, instead)
        exec(compile("\n" * (snippet.line - 1) + text, str(GUIDE), "exec"), names)  # the guide is ours
        assert capsys.readouterr().out, f"line {snippet.line} prints nothing"
    assert not unused
    for made in ("runs/quickstart/study.db", "runs/mine/study.db", "runs/again/study.db", "small/manifest.json", "four/manifest.json"):
        assert (place / made).is_file()
