"""studies/conformer_4bit: the paper's figures, verdicts on made-up differences, and the whole study at toy size."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from paredown.models import load_model
from paredown.quality import Difference, NonInferiority
from paredown.quality.confirm import confirm_in_order
from paredown.space.configuration import Configuration, Scheme
from paredown.space.operations import count_parameters
from studies.conformer_4bit import figure_2, table_1, table_2
from studies.conformer_4bit.__main__ import TABLES, main
from studies.conformer_4bit.allocations import average_bits, by_hand, coded, decoder_layers, encoder_layers
from studies.conformer_4bit.lossless import least_margin, ratios, tell_confirmed
from studies.conformer_4bit.measured import Size
from studies.conformer_4bit.paper import MB_OF_MIB, TABLE_1, TABLE_2
from studies.conformer_4bit.systems import PATTERNS, Searched, factorized, narrowed, pick_eta, ranked, uniform, uniform_rival
from studies.reproduction.bench import Bench
from studies.reproduction.result import Result

BASE = Configuration(scheme=Scheme(kernel="fp32"))
INVENTORY = load_model("bundled:tatoeba-en").inventory()
WHOLE = Size(100, 60, 400.0, 240.0, 400, 240, 500)


def difference(low: float, value: float, high: float) -> Difference:
    """A paired gain that was never measured."""
    return Difference("wer", value, (low, high), 100)


def verdict(name: str, passed: bool) -> NonInferiority:
    """A judgement that was never made."""
    return NonInferiority("wer", 0.3, 0.1, 0.2 if passed else 0.4, passed, 1000, 0.1, None)


def test_paper_sizes_follow_from_its_parameters() -> None:
    """Sizes of Table 2 are parameters of Table 1 at 4 bytes, in MiB, and 16.2 is a ratio of nominal bits."""
    one, eleven = TABLE_1[0], TABLE_1[10]
    assert [row.number for row in TABLE_1] == list(range(1, 15))
    assert [row.number for row in TABLE_2] == list(range(11))
    assert one.parameters * 4e6 / 2**20 == pytest.approx(TABLE_2[0].size_mib, abs=0.05)
    assert eleven.parameters * 4e6 / 2**20 == pytest.approx(TABLE_2[1].size_mib, abs=0.06)
    assert one.parameters * 32 / (eleven.parameters * 4) == pytest.approx(TABLE_2[10].ratio, abs=0.05)
    assert TABLE_2[0].size_mib * MB_OF_MIB == pytest.approx(one.parameters * 4, abs=0.06)
    for row in TABLE_2[2:]:
        assert TABLE_2[0].encoder_size_mib / row.encoder_size_mib == pytest.approx(row.encoder_ratio, rel=0.02), row


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(difference(0.1, 0.5, 0.9), 5.0, 5.0)], "holds"),
        ([(difference(-0.1, 0.5, 0.9), 5.0, 5.0)], "does not hold"),
        ([(difference(0.1, 0.5, 0.9), 6.0, 5.0)], "does not hold"),
        ([(difference(-0.1, 0.5, 0.9), 5.0, 5.0), (difference(0.1, 0.5, 0.9), 5.0, 5.0)], "holds in part"),
        ([(difference(0.1, 0.5, 0.9), 5.0, 5.0), (difference(0.1, 0.5, 0.9), 5.0, 5.0)], "holds"),
    ],
)
def test_verdict_on_softmaxes(pairs: list[tuple[Difference, float, float]], expected: str) -> None:
    """An estimate whose interval reaches 0 shows nothing, a better but larger system proves nothing."""
    assert table_1.judge_softmax(pairs) == expected


@pytest.mark.parametrize(
    ("four", "low", "lossless", "expected"),
    [(0.1, 0.1, True, "holds"), (0.1, -0.1, False, "holds in part"), (-0.1, -0.1, False, "does not hold")],
)
def test_verdict_on_bits(four: float, low: float, lossless: bool, expected: str) -> None:
    """All of the claims, some, or none."""
    assert table_2.judge(difference(four, 1.0, 2.0), difference(low, 1.0, 2.0), lossless) == expected


def test_verdict_on_figure() -> None:
    assert figure_2.judge({"a": 4, "b": 3}) == "holds"
    assert figure_2.judge({"a": 4, "b": 4}) == "does not hold"


def test_claims_stop_at_the_first_failure() -> None:
    """What comes behind a failure is not confirmed, and the last that passed is told with three ratios."""
    passes = {"mild": True, "middle": False, "hard": True}
    half = replace(WHOLE, nominal_bytes=200.0, weight_bytes=250, bundle_bytes=400)
    found = confirm_in_order(passes, lambda name: verdict(name, passes[name]))
    assert found.confirmed == ("mild",)
    assert found.untested == ("hard",)
    assert ratios(half, WHOLE) == (2.0, 1.6, 1.0)
    assert tell_confirmed(found, {"mild": half}, WHOLE) == "mild (2.0 in nominal bits, 1.6 in weight bytes, 1.0 in bundle bytes)"
    none = confirm_in_order(["hard"], lambda name: verdict(name, False))
    assert tell_confirmed(none, {}, WHOLE).startswith("none, hard already may lose 0.40 points")
    assert tell_confirmed(none, {}, WHOLE, least=0.5).startswith("nothing, as 1000 utterances can confirm no margin below 0.50 points")


def test_what_so_few_utterances_can_confirm_is_told() -> None:
    """A system that says the same as the baseline passes the margin of 0.3 % WER on 1,000 utterances, and on 500 it cannot."""

    def least(count: int) -> float:
        said = [f"{number} word{' wrong' * (number % 6 == 0)} here" for number in range(count)]
        heard = tuple(f"{number} word here" for number in range(count))
        bench: Any = SimpleNamespace(model=SimpleNamespace(task="asr"), texts=lambda _: said, references=lambda: heard)
        return least_margin(bench, BASE)

    assert least(1000) < 0.3 < least(500)


def test_systems_by_hand_change_the_encoder_alone() -> None:
    """Uniform widths, factors and ranks leave the decoder's layers as they are."""
    for configuration in (uniform(BASE, INVENTORY, 0.25), factorized(BASE, INVENTORY)):
        paths = [path for path, _ in (*configuration.width, *configuration.rank)]
        assert paths
        assert all(path.startswith("encoder.") for path in paths)
    assert set(dict(uniform(BASE, INVENTORY, 0.25).width).values()) == {240}
    assert set(factorized(BASE, INVENTORY).rank_of.values()) == {100}
    assert ranked(BASE, INVENTORY, {"encoder.encoders.0.feed_forward.w_1": 160}).rank == ()
    assert ranked(BASE, INVENTORY, {"encoder.encoders.0.feed_forward.w_1": 40}).rank_of == {"encoder.encoders.0.feed_forward.w_1": 40}


def test_eta_is_the_largest_that_is_tolerated() -> None:
    """Where none is, the mildest."""
    assert pick_eta({0.01: -0.2, 0.03: 0.9, 0.1: 7.0}) == 0.03
    assert pick_eta({0.01: 3.0, 0.03: 5.0}) == 0.01


def test_uniform_rival_is_not_smaller_and_not_much_larger() -> None:
    """At least the parameters asked for, and one unit less would be too few."""
    wanted = count_parameters(INVENTORY, narrowed(BASE, INVENTORY, {"encoder.encoders.0.feed_forward": 96}))
    rival = uniform_rival(BASE, INVENTORY, wanted)
    units = set(rival.width_of.values())
    assert len(units) == 1
    assert count_parameters(INVENTORY, rival) >= wanted
    fewer = narrowed(BASE, INVENTORY, {path: min(units) - 1 for path in rival.width_of})
    assert count_parameters(INVENTORY, fewer) < wanted


def test_bits_by_hand_are_near_the_papers_average() -> None:
    """2.6 bits within what a whole width allows, ends of the encoder wide; layers of encoder and decoder are all of them."""
    bits = by_hand(INVENTORY, BASE)
    assert average_bits(INVENTORY, coded(BASE, bits), bits) == pytest.approx(2.6, abs=0.4)
    assert bits["encoder.encoders.0.feed_forward.w_1"] > 2 == bits["encoder.encoders.3.feed_forward.w_1"]
    assert {*encoder_layers(INVENTORY), *decoder_layers(INVENTORY)} == set(INVENTORY.by_path)


def test_figure_has_a_cell_for_every_layer(tmp_path: Path) -> None:
    """Sub-layers by blocks, and a drawing of them."""
    bits = {path: 3 if ".conv_module." in path else 4 for path in encoder_layers(INVENTORY)}
    grid = figure_2.lay_out(INVENTORY, bits)
    assert sum(len(row) for row in grid.values()) == sum(".encoders." in path for path in bits)
    assert set(grid["Conv depthwise_conv"].values()) == {3}
    assert "Conv 3.0, FFN 4.0" in figure_2.tell_modules(grid)
    figure_2.draw(grid, 8, tmp_path / "bits.png")
    assert (tmp_path / "bits.png").read_bytes().startswith(b"\x89PNG")


def test_rows_that_train_are_not_run_without_a_train_split() -> None:
    """Systems 6 to 9 say so, before anything is measured."""
    bench = cast(Bench, SimpleNamespace(data=None, model=SimpleNamespace(task="asr")))
    found = Searched({}, 0.1, 0.1, BASE)
    for number in PATTERNS:
        row = table_1._row(bench, TABLE_1[number - 1], found)
        assert row.not_run == table_1.NO_TRAIN
        assert row.ours == {}
        assert row.paper["WER, %"] == TABLE_1[number - 1].wer


@pytest.mark.slow
def test_toy_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything at toy size: all tables are there, with all rows, and more bits are more bytes."""
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    assert main(["--toy", "--train", str(tmp_path / "none"), "-o", str(tmp_path / "results")]) == 0
    found = {table: Result.load(tmp_path / "results" / f"{table}.json") for table in TABLES}
    assert [row.name.split()[0] for row in found["table_1"].rows][:14] == [str(row.number) for row in TABLE_1]
    ids = {row.name: row for row in found["table_2"].rows}
    assert {f"ID {row.number} {row.what}" for row in TABLE_2} < set(ids)
    uniform_bytes = [_ours(ids, f"ID {number} encoder, uniform", "bundle, MB") for number in (2, 3, 4)]
    assert all(first < second for first, second in pairwise(uniform_bytes))
    assert _ours(ids, "ID 8 encoder, mixed by KL", "bits") <= 4.0
    assert (tmp_path / "results" / "figure_2.png").exists()
    assert all(json.loads((tmp_path / "results" / f"{table}.json").read_text())["conclusion"] for table in TABLES)
    assert "Table 2" in capsys.readouterr().out


def _ours(rows: dict[str, Any], name: str, column: str) -> float:
    return float(rows[name].ours[column])
