"""Checkpoints that paredown has never seen, from a recipe's folder to a bundle that translates, through the command line alone."""

import json
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from paredown import cli
from paredown.commands import init
from paredown.models import load_model
from paredown.search.study_file import read_spec
from tests.commands.recipe import AVERAGE, BPE, espnet_st, write_asr_recipe, write_st_recipe

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "own_model.md"


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "nltk", ModuleType("nltk"))  # ESPnet scores translations with it while it trains
    if init not in cli.COMMANDS:
        monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, init))


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def told() -> list[list[str]]:
    """The commands of the guide's first block, without `cd`."""
    block = GUIDE.read_text(encoding="utf-8").partition("```bash\n")[2].partition("```")[0]
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert lines[0][0] == "cd"
    assert len(lines) < 10
    return [words[1:] for words in lines[1:]]


def test_a_recipe_becomes_a_bundle_as_the_guide_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_st_recipe(tmp_path)
    start, dry_run, search, front, report, export, translate = told()
    assert cli.main(start) == 0
    said = capsys.readouterr().out
    assert "e_branchformer encoder of 2 blocks, transformer decoder of 4" in said
    assert "utterances: analysis 10, search 10, test 2" in said
    spec = read_spec(Path("mine.toml"))
    assert (spec.name, spec.model.path) == ("mine", str(folder))
    assert spec.space.layers is not None
    assert spec.space.layers.decoder == (2, 4)
    assert "\n# width = { eta = [0.0, 0.2] }\n" in Path("mine.toml").read_text()  # feed-forwards of four times the width
    rows = [json.loads(line) for line in (tmp_path / "mine-data" / "test.jsonl").read_text().splitlines()]
    assert {(row["text"], row["translation"]) for row in rows} == {("x y", "a b")}

    assert cli.main([*dry_run, "--json"]) == 0
    foretold = printed(capsys)
    assert foretold["smallest_bytes"] < foretold["uncompressed_bytes"]
    assert not Path("runs").exists()
    assert cli.main([*search, "--trials", "4", "--json"]) == 0
    assert printed(capsys)["study"] == "runs/mine"
    assert cli.main([*front, "--all", "--json"]) == 0
    points = printed(capsys)
    assert any(point["on_front"] for point in points)
    assert all(point["values"]["size_bytes"] <= foretold["uncompressed_bytes"] for point in points)
    assert cli.main([*report, "--json"]) == 0
    assert Path(printed(capsys)["report"]).read_text(encoding="utf-8").count("<script") > 1
    assert cli.main(export) == 0
    capsys.readouterr()
    assert cli.main([*translate, "--json"]) == 0
    assert printed(capsys)


def test_it_is_loaded_as_espnet_computes_it(tmp_path: Path) -> None:
    folder = write_st_recipe(tmp_path / "st1", utterances=1, tested=1)
    model = load_model(folder)
    assert (model.weights.name, model.bpe_model) == (AVERAGE, tmp_path / "st1" / BPE)
    theirs = espnet_st(model.config, tmp_path / "st1")
    samples = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, 6_000).astype(np.float32))
    with torch.no_grad():
        expected, _ = theirs.encode(samples[None], torch.tensor([len(samples)]))
    assert torch.allclose(model.encode(model.features(samples)), expected[0], atol=1e-5)  # two ways through float32


def test_an_asr_checkpoint_with_one_folder_of_speech(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_asr_recipe(tmp_path / "asr1")
    assert cli.main(["init", f"{folder}/{AVERAGE}", "--data", "asr1/dump/raw/valid", "--json"]) == 0
    found = printed(capsys)
    assert (found["study"], found["utterances"]) == (f"{folder.name}.toml", {"analysis": 10, "search": 10, "test": 10})
    assert found["model"] == f"{folder}/{AVERAGE}"
    spec = read_spec(Path(found["study"]))
    assert (spec.objectives.quality, spec.space.layers) == ("wer", None)  # two blocks are too few to remove any
    assert "width = {" not in Path(found["study"]).read_text()  # feed-forwards of twice the width
    assert 0 < found["size_bytes"]["4"] < found["size_bytes"]["8"]  # the graphs alone outweigh such a model
