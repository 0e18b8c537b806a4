"""The runs of the benchmark on a tiny model: that they run, and that what they say of tokens and bars is so."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from paredown.models import load_model  # noqa: E402
from tests.benchmarks.bars import Bar  # noqa: E402
from tests.benchmarks.footprints import run_bytes  # noqa: E402
from tests.benchmarks.shape_runs import FLOAT16, QINT8, Length, Shape, run_greedy, run_joint, run_length, run_steps  # noqa: E402
from tests.models.checkpoints import asr_config, write_checkpoint  # noqa: E402

TINY = Length(1, 3, 7, 14, 2.5, 4.5)
TOKENS = ["<blank>", "<unk>", *(f"w{index}" for index in range(37)), "<sos/eos>"]


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> Shape:
    folder = tmp_path_factory.mktemp("shape")
    model = load_model(write_checkpoint(folder / "checkpoint", asr_config(token_list=TOKENS, token_type="word")))
    return Shape.of(model, folder, threads=1)


def figures(bars: list[Bar], ending: str) -> list[Bar]:
    return [bar for bar in bars if bar.what.endswith(ending)]


@pytest.mark.slow
def test_all_candidates_decode_beside_each_other(shape: Shape, capsys: pytest.CaptureFixture[str]) -> None:
    bars = run_length(shape, TINY, repeats=1, alone=1)
    printed = capsys.readouterr().out
    lines = {name: next(line for line in printed.splitlines() if line.startswith(f"  {name} ")) for name in shape.candidates(10)}
    assert {QINT8, FLOAT16, "bundle 3 bits"} < set(lines)
    assert lines["bundle fp32"].endswith("identical")
    assert lines["torch cached"].endswith("identical")
    assert [bar.verdict for bar in figures(bars, "identical to ESPnet's (1 = yes)")] == ["met"]
    assert len(bars) == 5 + 2 + 3
    assert "back to back" in printed


def test_joint_decoding_gives_espnets_tokens(shape: Shape) -> None:
    bars = run_joint(shape, TINY, repeats=1)
    assert [bar.verdict for bar in figures(bars, "identical to ESPnet's (1 = yes)")] == ["met"]


def test_steps_and_greedy_decoding_are_timed(shape: Shape, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run_steps(shape, TINY, repeats=2)) == 4
    run_greedy(shape, TINY, repeats=1)
    printed = capsys.readouterr().out
    assert "token 3 " in printed
    assert "beam 1," in printed


def test_bytes_are_those_on_disk(shape: Shape, capsys: pytest.CaptureFixture[str]) -> None:
    bars = run_bytes(shape.bundles)
    size = sum(file.stat().st_size for file in Path(shape.bundles[8]).iterdir())
    reference = sum(file.stat().st_size for file in Path(shape.bundles[32]).iterdir())
    assert next(bar.figure for bar in bars if bar.what == "bytes at 8 bits to fp32") == size / reference
    assert f"bundle 8 bits {size / 1e6:.2f} MB" in capsys.readouterr().out
