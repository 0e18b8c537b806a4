"""Everything in one study of a tiny model: structural axes, a supernet, calibrated codes, static activations; and what is told of it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from paredown.cli import main
from paredown.models.model import SUPERNET
from paredown.report.describe import describe
from paredown.search.trial import Candidate
from paredown.space.configuration import Configuration
from paredown.trials import agreeing
from paredown.trials.losses import part_of
from tests.commands.test_axes import write_wide_study
from tests.commands.tiny import write_model, write_split

SPACE = """[space]
bits = { average = [3.0, 8.0], least = { "decoder.output" = 4 }, fixed = { "encoder.subsampling" = 16 }, same = "block", METHOD }
layers = { decoder = [2, 4], by = "loss" }
sparsity = { groups = ["decoder.feed_forward", "encoder.conv"], max = 0.5, scope = "global" }
heads = { max = 0.5 }
width = { eta = [0.0, 100.0], supernet = "SUPERNET" }
rank = { eta = [0.0, 1000.0], softmax = "plain" }
activations = "static"
[budgets]
""".replace("METHOD", 'rounds = 1, method = "gptq"')


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def supernet(tmp_path: Path) -> Path:
    folder = tmp_path / "supernet"
    shutil.copytree(write_model(tmp_path / "base"), folder)
    (folder / SUPERNET).write_text("{}")
    return folder


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_one_study_searches_all_of_it_together(tmp_path: Path, supernet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, folder = write_wide_study(tmp_path, SPACE.replace("SUPERNET", str(supernet))), str(tmp_path / "runs")
    assert main(["run", str(study), "-o", folder, "--trials", "14"]) == 0
    capsys.readouterr()
    assert main(["front", folder, "--all", "--json"]) == 0
    points = {point["trial"]: point for point in printed(capsys)}
    searched = {number: point["configuration"] for number, point in points.items() if number > 3}  # behind those of one width
    for part in ("width", "rank", "heads", "sparsity"):
        assert any(one[part] for one in searched.values()), f"no trial moved {part}"
    assert all(one["bits"]["encoder.embed.conv.0"] == 16 for one in searched.values())
    assert all(one["bits"]["decoder.output_layer"] >= 4 for one in searched.values())
    assert all(one["schedule"][0].startswith("supernet:") for one in searched.values())
    assert all((one["scheme"]["activations"], one["scheme"]["method"]) == ("static", "gptq") for one in searched.values())
    number = max(number for number, one in searched.items() if one["width"])
    assert main(["export", folder, "--trial", str(number), "-o", str(tmp_path / "bundle"), "--json"]) == 0
    exported = printed(capsys)
    assert json.loads((tmp_path / "bundle" / "manifest.json").read_text())["configuration"] == searched[number]
    (size,) = (value for name, value in points[number]["values"].items() if name == "size_bytes")
    assert exported["size_bytes"] == size + (tmp_path / "bundle" / "measurements.json").stat().st_size or exported["size_bytes"] == size
    assert main(["translate", str(tmp_path / "bundle"), str(tmp_path / "search" / "0.wav")]) == 0
    capsys.readouterr()
    assert main(["show", folder, "--trial", str(number)]) == 0
    told = capsys.readouterr().out
    assert "hidden units" in told
    assert "supernet" in told
    assert "static" in told
    assert main(["show", folder, "--trial", str(number), "--ablate", "--json"]) == 0
    assert {"bits", "width", "activations"} <= {row["without"] for row in printed(capsys)["ablation"]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"decoder.output" = 4 }', '"decoder.outputs" = 4 }', "least bits must name layers of the model"),
        ('"encoder.subsampling" = 16', '"encoder" = 9', "fixed bits must lie in [2, 8] or be 16 or 32, got 9 for 'encoder'"),
        ('supernet = "SUPERNET"', 'supernet = "BASE"', "width.supernet must be the folder of a supernet"),
        ("average = [3.0, 8.0]", "average = [1.0, 8.0]", "average bits must lie in [2, 8]"),
        ('"encoder.conv"', '"ctc"', "sparsity.groups must be groups of this model"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    tmp_path: Path, supernet: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    space = SPACE.replace(old, new).replace("SUPERNET", str(supernet)).replace("BASE", str(tmp_path / "base"))
    study = write_wide_study(tmp_path, space)
    assert main(["run", str(study), "-o", str(tmp_path / "runs")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_analyse_tells_all_that_a_model_bears(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["analyse", str(write_model(tmp_path / "model")), "--data", str(write_split(tmp_path / "data")), "--by", "loss"]
    assert main([*command, "--json"]) == 0
    found = printed(capsys)
    assert found["kl"]["decoder.output_layer"]["2"] > found["kl"]["decoder.output_layer"]["8"] >= 0
    assert len(found["order"]["decoder"]["removed"]) == 2
    assert found["order"]["decoder"]["by"] == "loss"
    assert len(found["pruning"]["curves"]["decoder.feed_forward"]) == len(found["pruning"]["shares"])
    assert set(map(len, found["heads"]["divergences"].values())) == {2}
    assert main([*command, "--figure", str(tmp_path / "curves.png")]) == 0
    shown = capsys.readouterr().out
    for words in (
        "bit-widths of",
        "uniform widths could buy",
        "pruning of",
        "attention heads of",
        "decoder blocks in the order of removal",
    ):
        assert words in shown
    assert (tmp_path / "curves.png").stat().st_size > 0
    assert main([*command, "--parts", "heads", "--figure", "x.png"]) == 2
    assert "--parts must hold pruning" in capsys.readouterr().err
    assert main([*command, "--parts", "bits", "--measure", "encoder_output", "--json"]) == 0
    printed_encoder = printed(capsys)
    assert set(printed_encoder["kl"]["decoder.output_layer"].values()) == {0.0}


def test_error_rates_by_which_blocks_go_are_told_as_negative(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scores of an order are higher the better the model is."""
    command = ["analyse", str(write_model(tmp_path / "model")), "--data", str(write_split(tmp_path / "data", 1))]
    assert main([*command, "--parts", "blocks", "--by", "wer"]) == 0
    assert "decoder blocks in the order of removal (minus the wer without them" in " ".join(capsys.readouterr().out.split())


def write_agreement_command(folder: Path) -> list[str]:
    return ["analyse", str(write_model(folder / "model")), "--data", str(write_split(folder / "data")), "--parts", "bits", "--agreement"]


def test_analyse_measures_the_loss_of_every_group_and_block_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = write_agreement_command(tmp_path)
    assert main([*command, "--json"]) == 0
    first = capsys.readouterr()
    found = json.loads(first.out)["agreement"]
    assert found["bits"] == 3
    assert {"encoder block 0", "decoder block 3"} <= set(found["losses"]["block"])
    assert {"encoder.feed_forward", "decoder.output"} <= set(found["losses"]["group"])
    for one in found["tau"]:  # a random model may translate nothing, whatever its weights
        assert (one["tau"] is None) == (len(set(found["losses"][one["part"]].values())) == 1)
    assert "costs alone at 3 bits, on 4 utterances" in first.err
    assert main(command) == 0
    again = capsys.readouterr()
    assert "costs alone at 3 bits, from the cache (losses of groups on 4 utterances)" in again.err
    assert "costs alone at 3 bits, on" not in again.err
    assert "agreement of sensitivities" in again.out


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "tau"), [(1.0, 1.0), (-1.0, -1.0)])
def test_losses_are_ranked_beside_the_sensitivities_of_their_layers(
    sign: float, tau: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = write_agreement_command(tmp_path)
    assert main([*command[:-1], "--json"]) == 0
    kl = printed(capsys)["kl"]

    def as_sensitive(workshop: Any, decoder: object, split: object, bits: int, part: Any, **_: object) -> dict[str, float]:
        losses: dict[str, float] = {}
        for layer in workshop.model.inventory().layers:
            name = part_of(layer, part)
            losses[name] = losses.get(name, 0.0) + sign * kl[layer.path][str(bits)]
        return losses

    monkeypatch.setattr(agreeing, "measure_losses", as_sensitive)
    assert main([*command, "--json"]) == 0
    found = printed(capsys)["agreement"]
    order = [(part, measure) for part in ("group", "block") for measure in ("posteriors", "encoder_output")]
    assert [(one["part"], one["sensitivity"]) for one in found["tau"]] == order
    for one in found["tau"]:
        assert one["count"] == len(found["losses"][one["part"]])
        if one["sensitivity"] == "posteriors":
            assert one["tau"] == pytest.approx(tau)
        else:  # nothing of the decoder is heard there
            assert abs(one["tau"]) < 1.0
    assert main(command) == 0
    assert f"{tau:+.2f}" in capsys.readouterr().out


def test_losses_that_rank_nothing_are_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing_lost(workshop: Any, *_: object, **__: object) -> dict[str, float]:
        return {layer.group: 0.0 for layer in workshop.model.inventory().layers}

    monkeypatch.setattr(agreeing, "PARTS", ("group",))
    monkeypatch.setattr(agreeing, "measure_losses", nothing_lost)
    command = write_agreement_command(tmp_path)
    assert main([*command, "--json"]) == 0
    for one in printed(capsys)["agreement"]["tau"]:
        assert (one["tau"], one["p_value"], one["count"]) == (None, None, None)
        assert one["reason"] == "losses must differ, or they rank nothing, got 0.0 for all"
    assert main(command) == 0
    assert "losses must differ" in " ".join(capsys.readouterr().out.split())


def test_a_trial_is_told_by_what_every_axis_does() -> None:
    knobs = {"bits.average": 4.5, "width.eta": 0.05, "rank.eta": 0.1, "heads.share": 0.25, "sparsity.share": 0.3, "layers.decoder": 5}
    trial = SimpleNamespace(
        candidate=Candidate("search", Configuration(), tuple(knobs.items())), label="search", configuration=Configuration()
    )
    assert describe(cast(Any, trial)) == (
        "4.50 bits; 5 decoder blocks; 25% of the heads gone; widths at eta 0.05; ranks at eta 0.1; zeros: all groups 30%"
    )
