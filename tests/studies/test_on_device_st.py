"""The first paper made again: its figures, its BLEU, verdicts on made-up rows, and the whole study at toy size."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from paredown.errors import BadInput
from paredown.profilers.energy.energy import Energy, Figures, Origin
from paredown.profilers.energy.spread import Spread
from paredown.quality import Difference
from paredown.space.inventory import GROUPS
from paredown.trials.metering import EnergyRequest
from studies.on_device_st import figure_1, figure_2, figure_3, figure_4, figure_5, figure_6, paper, table_2, table_3, table_4, table_5
from studies.on_device_st.__main__ import TABLES, TITLE
from studies.on_device_st.first_utterance import first_utterance_bleu
from studies.on_device_st.inputs import hop_of
from studies.on_device_st.judging import Claim, claim, judge
from studies.on_device_st.rows import BLEU, CHRF, FIRST, FIXED, LATENCY, LOSS, RATIO, SIZE, TOKENS, WORK
from studies.on_device_st.runtimes import BUNDLE, BUNDLE_INT8, BUNDLE_PRUNED, ESPNET, ESPNET_INT8
from studies.on_device_st.torch_files import fit_sparse
from studies.reproduction.main import reproduce
from studies.reproduction.result import Figure, Result, Row
from tests.space.test_groups import TABLE_4

REFERENCES = ("The cat sat on the mat today.", "It rains a lot here in May.", "Nobody knows the way back home.")


def row(name: str, ours: dict[str, Figure], around: float = 0.0, not_run: str = "") -> Row:
    """A row whose intervals reach so far to both sides."""
    intervals = {key: (value - around, value + around) for key, value in ours.items() if not isinstance(value, str)}
    return Row(name, {}, ours, intervals, not_run)


def verdict_of(claims: list[Claim]) -> str:
    verdict, conclusion = judge(claims)
    assert conclusion.startswith("The paper concludes that ")
    assert conclusion.endswith(".")
    return verdict


def test_figures_of_the_paper_agree_with_each_other() -> None:
    """What it prints twice, and what it works out of what it prints."""
    best, original = paper.TABLE_5["PTQ + Pruning + ONNX"], paper.ORIGINAL
    assert round(100 * (best.latency_s / original.latency_s - 1)) == paper.LATENCY_CHANGE
    assert round(100 * (best.bleu / original.bleu - 1)) == paper.BLEU_CHANGE
    assert round(table_2.PAPER_PARAMETERS * 4 / 2**20) == original.size_mib
    assert [round(paper.TABLE_3[share].bleu, 1) for share in (0.0, 0.1, 0.2)] == [original.bleu] * 3
    assert round(paper.TABLE_3[0.0].latency_s, 2) == original.latency_s
    assert [set(kind) for kind in paper.TABLE_2.values()] == [set(paper.TABLE_1)] * 3


def test_its_sizes_are_those_of_torchs_sparse_form() -> None:
    sizes = {share: printed.size_mib or 0.0 for share, printed in paper.TABLE_3.items() if share}
    millions, rest = fit_sparse(sizes)
    assert 45.5 < millions < 46.5
    assert 45.0 < rest < 55.0
    for share, size in sizes.items():
        assert abs(rest + millions * 1e6 * 20 * (1 - share) / 2**20 - size) < 2.0


def test_table_4_is_read_as_corrected() -> None:
    assert dict(paper.TABLE_4.values()) == TABLE_4
    assert set(paper.COMPONENTS.values()) <= set(GROUPS)


def test_its_bleu_is_that_of_the_first_utterance() -> None:
    """A perfect first line hides what all others say, and any reference will do for it."""
    assert first_utterance_bleu([REFERENCES[0], "nonsense", "nothing"], REFERENCES) == pytest.approx(100.0)
    assert first_utterance_bleu([REFERENCES[2], "nonsense", "nothing"], REFERENCES) == pytest.approx(100.0)
    assert first_utterance_bleu(["nonsense", *REFERENCES[1:]], REFERENCES) < 20.0


@pytest.mark.parametrize(("name", "hop"), [("original", 128), ("input_size1", 160), ("input_size3", 240)])
def test_hops_are_in_proportion_to_the_models_own(name: str, hop: int) -> None:
    assert hop_of(SimpleNamespace(frontend=SimpleNamespace(hop_samples=128)), name) == hop  # type: ignore[arg-type]


def test_a_verdict_is_that_of_the_claims_that_could_be_measured() -> None:
    yes, no, unknown = Claim("a", "1", True), Claim("b", "2", False), Claim("c", "3", None)
    assert verdict_of([yes, unknown]) == "holds"
    assert verdict_of([yes, no]) == "holds in part"
    assert verdict_of([no, unknown]) == "does not hold"
    assert verdict_of([unknown]) == "not run"
    assert claim("a", [row("one", {}, not_run="no counter")], "", True) == Claim("a", "one", None)


def test_a_trend_of_quality_speaks_against_the_first_figure() -> None:
    def rows(losses: tuple[float, ...]) -> tuple[Row, ...]:
        figures = zip((1.0, 0.9, 0.8, 0.7), losses, strict=True)
        return tuple(
            row(str(place), {RATIO.name: ratio, LOSS.name: loss, BLEU.name: 30.0 + loss}) for place, (ratio, loss) in enumerate(figures)
        )

    assert [each.holds for each in figure_1.claims(rows((0.0, -1.0, -2.0, -20.0)))] == [True, False, False]
    assert [each.holds for each in figure_1.claims(rows((0.0, -2.0, -1.0, -3.0)))] == [True, True, True]


def test_half_the_rate_against_a_longer_hop() -> None:
    naive = (row("original, naive", {LOSS.name: -30.0, CHRF.name: 20.0, RATIO.name: 0.7, WORK.name: 1.0}, 0.1),)
    longest = row("input_size3", {WORK.name: 1.0})
    assert verdict_of(figure_2.claims(naive, longest, Difference("chrf", 8.0, (6.0, 10.0), 200))) == "holds"
    assert verdict_of(figure_2.claims(naive, longest, Difference("chrf", -8.0, (-9.0, -6.0), 200))) == "holds in part"
    little = (row("original, naive", {LOSS.name: -3.0, CHRF.name: 47.0, RATIO.name: 1.3, WORK.name: 1.0}, 0.1),)
    assert verdict_of(figure_2.claims(little, longest, Difference("chrf", -8.0, (-9.0, -6.0), 200))) == "does not hold"
    impossible = (row("original, naive", {}, not_run="no whole samples"),)
    assert verdict_of(figure_2.claims(impossible, longest, None)) == "not run"


def test_precision_holds_or_not_by_intervals() -> None:
    def claims(loss: float, half: float) -> list[Claim]:
        int8 = tuple(row("int8", {RATIO.name: 0.6 - 0.1 * place, LOSS.name: loss, SIZE.name: 12.0}, 0.2) for place in range(4))
        torch_rows = tuple(row(name, {RATIO.name: half}, 0.1) for name in ("float32", "qint8", "float16"))
        return table_2.claims({"float32": (row("whole", {SIZE.name: 43.0}),), "qint8": int8}, torch_rows)

    assert [each.holds for each in claims(-0.1, 1.5)] == [True, True, True, True]
    assert [each.holds for each in claims(-2.0, 1.05)] == [True, True, False, False]


def pruned_rows(latency: float, tokens: float, bleu: float, sparse_mib: float) -> dict[float, Row]:
    whole = {
        BLEU.name: 30.0,
        RATIO.name: 1.0,
        FIXED.name: 1.0,
        LOSS.name: 0.0,
        SIZE.name: 40.0,
        TOKENS.name: 16.0,
        "int8 bundle, MiB": 12.0,
    }
    mild = {**whole, SIZE.name: 150.0, LOSS.name: -0.1}
    heavy = {**whole, BLEU.name: bleu, RATIO.name: latency, TOKENS.name: tokens, LOSS.name: -30.0, SIZE.name: 100.0}
    last = {**heavy, SIZE.name: 25.0, "int8 bundle, MiB": sparse_mib}
    return {share: row(f"{share:g}", ours, 0.05) for share, ours in ((0.0, whole), (0.1, mild), (0.2, mild), (0.5, heavy), (0.9, last))}


def test_global_pruning_holds_or_not() -> None:
    assert [each.holds for each in table_3.claims(pruned_rows(4.0, 90.0, 2.0, 5.0))] == [True, True, True, True]
    rows = pruned_rows(0.8, 12.0, 25.0, 5.0)
    rows[0.1] = row("0.1", {**rows[0.1].ours, "int8 bundle, MiB": 11.0}, 0.05)
    assert [each.holds for each in table_3.claims(rows)] == [True, False, False, False]


def test_tokens_drive_latency_or_not() -> None:
    assert verdict_of(figure_3.claims(pruned_rows(4.0, 90.0, 2.0, 5.0))) == "holds"
    assert verdict_of(figure_3.claims(pruned_rows(4.0, 8.0, 2.0, 5.0))) == "does not hold"


def test_components_hold_or_not() -> None:
    def rows(encoder: float, decoder: float) -> dict[str, Row]:
        found = {figure_4.WHOLE: row(figure_4.WHOLE, {figure_4.BLEUS[0.7].name: 30.0})}
        for name in paper.COMPONENTS:
            loss = encoder if name.startswith("encoder") else decoder
            ours = {figure_4.LOSSES[0.33].name: loss, figure_4.BLEUS[0.33].name: 30.0 + loss, figure_4.BLEUS[0.7].name: 30.0 + 2 * loss}
            found[name] = row(name, ours)
        return found

    assert verdict_of(figure_4.claims(rows(-1.0, -5.0))) == "holds"
    assert verdict_of(figure_4.claims(rows(-15.0, -5.0))) == "does not hold"


def test_the_strategy_keeps_three_quarters_or_not() -> None:
    whole = row("original", {BLEU.name: 40.0, FIRST.name: 60.0})
    kept, lost = (row("pruned", {BLEU.name: bleu, LOSS.name: bleu - 40.0, FIRST.name: 60.0}) for bleu in (31.0, 29.0))
    assert verdict_of(table_4.claims(whole, kept, [])) == "holds"
    assert verdict_of(table_4.claims(whole, lost, [])) == "does not hold"
    assert verdict_of(table_4.claims(whole, kept, [row("Encoder_conv", {}, not_run="the model has no encoder.conv")])) == "not run"


def test_the_ablation_holds_or_not() -> None:
    def rows(times: float, pruned: float, torch_int8: float, whole: float) -> dict[str, Row]:
        losses = {BUNDLE: whole, BUNDLE_INT8: -0.2, BUNDLE_PRUNED: pruned, ESPNET_INT8: torch_int8, ESPNET: 0.0}
        return {
            name: row(name, {LOSS.name: losses.get(name, pruned), figure_5.TIMES.name: times}, 0.1)
            for pair in figure_5.PAIRS.items()
            for name in pair
        }

    assert verdict_of(figure_5.claims(rows(5.0, -9.0, -3.0, 0.0))) == "holds"
    assert verdict_of(figure_5.claims(rows(0.9, 0.0, 0.0, -4.0))) == "does not hold"


def test_everything_together_holds_or_not() -> None:
    before = row("Original", {LATENCY.name: 0.4, SIZE.name: 40.0, BLEU.name: 30.0, FIRST.name: 60.0})
    after = row("best", {LATENCY.name: 0.1, SIZE.name: 10.0, BLEU.name: 20.0, FIRST.name: 60.0})
    changed = table_5.change("change", before, after)
    assert changed.ours[LATENCY.name] == pytest.approx(-75.0)
    assert [each.holds for each in table_5.claims(changed)] == [True, True, False]
    missing = table_5.change("change", row("Original", {}, not_run="no ESPnet"), after)
    assert missing.not_run == "no ESPnet"
    assert verdict_of(table_5.claims(missing)) == "not run"


def energy(mj: float) -> Energy:
    origin = Origin("rapl", "RAPL", "cpu", "counted", "measured")
    spread = Spread.of((mj, mj * 1.01, mj * 0.99))
    return Energy(origin, Figures(spread, None, (), 1.0, 1.0, None, 10.0, 4, 1, 1.0, 0, None))


def test_without_counters_energy_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: EnergyRequest) -> str:
        raise BadInput(f"energy of {self.target} cannot be measured: no counter")

    monkeypatch.setattr(EnergyRequest, "check", refuse)
    rows = {name: found for device in figure_6.DEVICES for name, found in figure_6.device_rows(None, device).items()}  # type: ignore[arg-type]
    assert len(rows) == 4
    assert all("no counter" in found.not_run for found in rows.values())
    assert verdict_of(figure_6.claims(rows)) == "not run"


def test_with_counters_utterances_are_those_of_10_wh() -> None:
    found = figure_6.energy_row("original, CPU", energy(360.0))
    assert found.ours[figure_6.UTTERANCES.name] == pytest.approx(100_000.0)
    low, high = found.intervals[figure_6.UTTERANCES.name]
    assert low < 100_000.0 < high
    frugal = figure_6.energy_row("PTQ + pruning, CPU", energy(100.0))
    missing = {name: row(name, {}, not_run="no GPU") for name in ("original, GPU", "PTQ + pruning, GPU")}
    assert verdict_of(figure_6.claims({found.name: found, frugal.name: frugal, **missing})) == "holds"
    assert verdict_of(figure_6.claims({found.name: frugal, frugal.name: found, **missing})) == "does not hold"


@pytest.mark.slow
def test_the_whole_study_runs_at_toy_size(tmp_path: Path) -> None:
    assert reproduce("on_device_st", TITLE, TABLES, "bundled:tatoeba-en-de", "train", ["--toy", "-o", str(tmp_path)]) == 0
    found = {table: Result.load(tmp_path / f"{table}.json") for table in TABLES}
    assert {table: result.stem for table, result in found.items()} == {table: table for table in TABLES}
    rows = {table: len(result.rows) for table, result in found.items()}
    assert rows == {
        "table_1": 4,
        "figure_1": 4,
        "figure_2": 8,
        "table_2": 16,
        "table_3": 10,
        "figure_3": 10,
        "figure_4": 11,
        "table_4": 9,
        "figure_5": 8,
        "table_5": 7,
        "figure_6": 4,
    }
    for table, result in found.items():
        assert table == "figure_6" or not [one.not_run for one in result.rows if one.not_run and "torch" not in one.not_run]
        assert result.figure is None or (tmp_path / result.figure).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "README.md").read_text(encoding="utf-8").count("\n## ") == len(TABLES)
    assert json.loads((tmp_path / "table_3.json").read_text())["rows"][0]["ours"][SIZE.name] == pytest.approx(10_802_600 * 4 / 2**20)
