"""The IWSLT 2025 reproduction: the paper's figures, what is trained on what, and how verdicts come about."""

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paredown.data import Split, load_split, open_data
from paredown.errors import BadInput
from paredown.models import load_model
from paredown.quality import Difference
from paredown.recover.training_data import TrainingData
from paredown.space.training import Mixture
from studies.iwslt2025 import rows as rows_module
from studies.iwslt2025 import table_1, table_2, table_3, table_5, table_6, table_7
from studies.iwslt2025.__main__ import TABLES, TITLE
from studies.iwslt2025.campaign import NO_ADAPTERS, NO_TRAIN, Campaign, open_campaign
from studies.iwslt2025.domains import divide
from studies.iwslt2025.judging import Claim, better, conclude, lower, no_worse, not_shown, retained, smaller, verdict_of
from studies.reproduction import main as command
from studies.reproduction.bench import Bench
from studies.reproduction.result import Result, Row
from tests.commands.tiny import write_model, write_split

METRICS = ("BLEU", "chrF++", "COMET")
UTTERANCES = 24


def _scores(line: Any) -> tuple[Any, ...]:
    return tuple(line[metric] for metric in METRICS)


def test_lines_that_the_paper_prints_twice_are_equal() -> None:
    two, five, six = table_2.PAPER, table_5.PAPER, table_6.PAPER
    assert table_1.PAPER["Baseline"] == two["Baseline"]
    assert table_1.PAPER["EN-ZH: + Full Fine-tuning"] == two["EN-ZH: + Full FT"]
    assert _scores(two["+ Pruning"]) == _scores(five["Iterative, chrF++: pruned"]) == _scores(six["pruned [8]"]) == (10.78, 39.58, -44.4)
    assert _scores(two["+ FT"]) == _scores(five["Iterative, chrF++: + FT"]) == _scores(six["pruned [8], fine-tuned"])
    assert _scores(table_3.PAPER["decoder alone, fine-tuned"]) == _scores(five["Middle: + FT"]) == (30.81, 58.45, 31.95)
    assert _scores(table_7.PAPER["100k"]) != _scores(table_7.PAPER["80k"])
    assert (two["+ QLoRA (+ CV)"]["BLEU"], two["+ QLoRA (+ CV)"]["COMET"]) == (39.59, 59.21)
    assert _scores(table_7.PAPER["100k"]) == _scores(two["+ QLoRA (+ CV)"])


def test_figures_agree_with_what_the_paper_says_of_them() -> None:
    baseline, german, chinese = (table_2.PAPER[name] for name in ("Baseline", "+ QLoRA (+ CV)", "EN-ZH: + QLoRA (+ CV)"))
    storage = float(str(german["storage"]).removesuffix(" GB")) / float(str(baseline["storage"]).removesuffix(" GB"))
    assert storage == pytest.approx(0.5, abs=0.02)
    teacher = table_2.PAPER["EN-ZH: + Full FT"]
    assert float(chinese["BLEU"]) / float(teacher["BLEU"]) == pytest.approx(0.97, abs=0.006)
    assert float(german["chrF++"]) / float(table_2.PAPER["+ Full FT"]["chrF++"]) == pytest.approx(1.0, abs=0.006)
    gain = [table_3.PAPER[table_3.DECODER][name] - table_3.PAPER[table_3.BOTH][name] for name in METRICS]  # type: ignore[operator]
    assert gain[0] > 4
    assert gain[2] > 18
    assert [len(each.PAPER) for each in (table_1, table_2, table_3, table_5, table_6, table_7)] == [8, 12, 2, 12, 16, 4]


def _difference(low: float, high: float) -> Difference:
    return Difference("chrf++", (low + high) / 2, (low, high), 100)


def test_a_claim_holds_where_the_interval_shows_it() -> None:
    assert better("a", _difference(0.1, 2.0)).holds
    assert not better("a", _difference(-0.1, 2.0)).holds
    assert "no difference is shown" in better("a", _difference(-0.1, 2.0)).found
    assert "the opposite" in better("a", _difference(-3.0, -1.0)).found
    assert better("a", None).found == "the same model"
    assert no_worse("a", _difference(-0.9, 0.5), 1.0).holds
    assert not no_worse("a", _difference(-1.1, 0.5), 1.0).holds
    assert lower("a", _difference(-4.0, -2.1), 2.0).holds
    assert not lower("a", _difference(-4.0, -1.9), 2.0).holds
    assert not_shown("a", _difference(-0.1, 0.5)).holds
    assert not not_shown("a", _difference(0.1, 0.5)).holds
    assert retained("a", _difference(-1.4, 0.4), 50.0, 0.97).holds
    assert not retained("a", _difference(-1.6, 0.4), 50.0, 0.97).holds
    assert retained("a", _difference(-1.6, 0.4), 50.0, 0.97).found == "98.8 % [96.8, 100.8]"
    assert smaller("a", 20e6, 43e6, 0.4).holds
    assert smaller("a", 30e6, 43e6, 0.4) == Claim("a 40 % less", False, "30.0 of 43.0 MB, -30 %")


def test_a_verdict_counts_the_claims_that_hold() -> None:
    yes, no = Claim("a", True, "+1"), Claim("b", False, "-1")
    assert [verdict_of(claims) for claims in ([yes, yes], [yes, no], [no], [])] == ["holds", "holds in part", "does not hold", "not run"]
    assert conclude("x is y", [yes, no]) == "The paper concludes that x is y; here a: yes (+1); b: no (-1)."
    assert conclude("x is y", []).endswith("was not run.")


def _storage(base: int, adapters: int) -> Any:
    """A campaign whose uncompressed model takes 40 MB, and whose adapters and their base so many."""
    size = (0, SimpleNamespace(weight_bytes=1.0))
    bench: Any = SimpleNamespace(model=SimpleNamespace(inference_parameters=10_000_000), size=lambda line: size)
    bench.score = lambda metric, line: SimpleNamespace(value=50.0)
    return SimpleNamespace(bench=bench, bench_of=lambda line: bench, told=rows_module.Adapters(base, adapters, 1, 10, 0.1))


def _line(bits: tuple[Any, ...] = (), adapted: bool = False) -> Any:
    return SimpleNamespace(bits=bits, adapted=adapted)


def _told_of(campaign: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "adapters_of", lambda bench, line: campaign.told if line.adapted else None)


def test_storage_is_that_of_base_and_adapters_or_of_the_weight_file(monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = _storage(5_000_000, 7_000_000)
    _told_of(campaign, monkeypatch)
    stored = [rows_module.stored_bytes(campaign.bench, line) for line in (_line(), _line(adapted=True), _line((("a", 4),), adapted=True))]
    assert stored == [40e6, 12e6, 40e6]


@pytest.mark.parametrize(("low", "adapters", "expected"), [(0.1, 12, "holds"), (-0.2, 12, "holds in part"), (-0.2, 30, "does not hold")])
def test_model_a_is_judged_by_quality_and_storage(low: float, adapters: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = _storage(5_000_000, adapters * 1_000_000)
    _told_of(campaign, monkeypatch)
    campaign.beside = lambda lines, one, other: _difference(low, low + 1.0)
    lines = {table_1.BASE: _line(), table_1.TUNED: _line(), table_1.ADAPTED: _line(adapted=True), table_1.TAUGHT: _line(adapted=True)}
    assert verdict_of(table_1._claims(campaign, lines)) == expected


@pytest.mark.parametrize(("low", "kept", "adapters", "expected"), [(0.1, -1.0, 12, 5), (0.1, -2.0, 12, 4), (-0.1, -2.0, 30, 0)])
def test_model_b_is_judged_by_every_step_and_its_end(
    low: float, kept: float, adapters: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = _storage(5_000_000, adapters * 1_000_000)
    _told_of(campaign, monkeypatch)
    campaign.beside = lambda lines, one, other: _difference(kept, kept + 1.0) if other == table_2.BASE else _difference(low, low + 1.0)
    names = (table_2.BASE, table_2.TUNED, table_2.PRUNED, table_2.RECOVERED, table_2.DISTILLED)
    lines = {**{name: _line() for name in names}, table_2.ADAPTED: _line(adapted=True)}
    assert sum(claim.holds for claim in table_2._claims(campaign, lines)) == expected
    assert len(table_2._claims(campaign, {**lines, table_2.ADAPTED: NO_ADAPTERS})) == 2


@pytest.mark.parametrize("table", TABLES)
def test_without_a_train_split_rows_that_train_are_not_run(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "make_row", lambda bench, name, printed, *rest: Row(name, printed, {"BLEU": 1.0}))
    bench: Any = SimpleNamespace(data=None, scale=1.0, whole="whole", greedy=lambda configuration: configuration)
    found = TABLES[table](bench)
    assert found.stem == table
    assert found.verdict == "not run"
    trained = [row for row in found.rows if not row.name.startswith("EN-ZH") and row.name != "Baseline"]
    assert trained
    assert {row.not_run for row in trained} == {NO_TRAIN}
    assert "train_split" in found.notes[-1]
    assert all(row.not_run and "Chinese" in row.not_run for row in found.rows if row.name.startswith("EN-ZH"))


def test_domains_are_apart_and_sizes_lie_within_one_another(tmp_path: Path) -> None:
    train, test = load_split(write_split(tmp_path / "train", 20)), load_split(write_split(tmp_path / "test", 2))
    bench: Any = SimpleNamespace(data=TrainingData(train), analysis=test, test=test, scale=0.01)
    domains = divide(bench)
    inside, outside = ({each.id for each in split.utterances} for split in (domains.inside, domains.outside))
    assert (len(inside), len(outside)) == (8, 10)
    assert not inside & outside
    sizes = [domains.taken(percent).utterances for percent in (10, 50, 80, 100)]
    assert [len(each) for each in sizes] == [1, 5, 8, 10]
    assert all(larger[: len(smaller)] == smaller for smaller, larger in pairwise(sizes))
    assert divide(bench).inside == domains.inside
    bench.test = Split("test", (*test.utterances, train.utterances[3]))
    with pytest.raises(BadInput, match="apart"):
        divide(bench)


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Campaign, "seconds", lambda self, mixture, bench: 260.0 * (1 + mixture.distilled))
    model, splits = load_model(str(write_model(tmp_path / "model"))), [load_split(write_split(tmp_path / name)) for name in ("a", "b")]
    train = TrainingData(load_split(write_split(tmp_path / "train", UTTERANCES)))
    nothing: Any = None
    voice = SimpleNamespace(line=lambda text: None, progress=lambda *rest: None)
    bench = Bench(model, *splits, nothing, nothing, tmp_path / "kept", tmp_path / "out", voice, train)  # type: ignore[arg-type]
    with open_campaign(bench) as opened:
        yield opened


def test_model_b_is_the_papers_schedule(campaign: Campaign) -> None:
    made = campaign.model_b((("decoder", (0, 3)),), 50)
    told = [stage if isinstance(stage, str) else stage.kind for stage in made.schedule]
    assert told == ["fine-tune", "drop", "fine-tune", "distill", "qlora", "narrow", "factorize", "prune", "quantize"]
    last = made.trainings[-1]
    assert (last.mixture, last.rank, last.alpha, last.weight_decay, last.steps) == (Mixture(1, 1, 1), 64, 128.0, 0.001, 10)
    assert [stage.steps for stage in made.trainings[:3]] == [20, 14, 14]
    data = campaign.mixed(50).data
    assert data is not None
    assert last.other_data == data.other_digest
    assert campaign.bench_of(made) is campaign.mixed(50)
    assert campaign.bench_of(campaign.tuned) is campaign.bench
    assert made.decode.beam_size == 1


def test_rows_share_what_was_trained_before(campaign: Campaign) -> None:
    keep = (("decoder", (0, 3)),)
    steps = [campaign.tuned, campaign.recovered(keep), campaign.distilled(keep), campaign.model_b(keep, 10)]
    for before, after in pairwise(steps):
        assert after.trainings[: len(before.trainings)] == before.trainings
    assert {layer for layer, _ in campaign.at_four_bits(steps[1]).bits if "decoder.decoders.1." in layer} == set()
    assert {bits for _, bits in campaign.at_four_bits(steps[1]).bits} == {4}


def test_without_their_packages_adapters_are_not_run(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Campaign, "adapters_missing", True)
    monkeypatch.setattr("studies.iwslt2025.blocks.iterative", lambda *rest: (1, 2))
    lines = [table_1._lines(campaign.bench, campaign), table_2._lines(campaign.bench, campaign), table_7._lines(campaign)[0]]
    missing = [[name for name, line in each.items() if line == NO_ADAPTERS] for each in lines]
    assert missing == [["+ QLoRA Fine-tuning", "+ Knowledge Distillation"], ["+ QLoRA (+ CV)"], ["10k", "50k", "80k", "100k"]]
    assert not isinstance(lines[1]["+ KD"], str)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # it waits while another process measures
def test_every_table_is_made_at_toy_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "ROOT", tmp_path / "studies")
    utterances = open_data("bundled:tatoeba-en-de/search").first(40).utterances
    lines = [{"id": each.id, "audio": str(each.audio), "text": each.text, "translation": each.translation} for each in utterances]
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["--toy", "--train", str(tmp_path / "train"), "-o", str(tmp_path / "results")]
    assert command.reproduce("iwslt2025", TITLE, TABLES, "bundled:tatoeba-en-de", "train", arguments) == 0
    modules = (table_1, table_2, table_3, table_5, table_6, table_7)
    for name, module in zip(TABLES, modules, strict=True):
        found = Result.load(tmp_path / "results" / f"{name}.json")
        assert set(module.PAPER) <= {row.name for row in found.rows}
        ran = [row for row in found.rows if not row.not_run]
        assert ran
        assert all(0 <= float(row.ours["chrF++"]) <= 100 for row in ran)
        assert found.verdict != "not run"
