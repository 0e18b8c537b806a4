"""The baselines decode what ESPnet decodes, and what is timed is what is said to be timed. Speeds are the benchmark's affair."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.bundle import write_bundle  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.profilers.machine_load import MachineWatch  # noqa: E402
from paredown.space.configuration import Configuration, Scheme  # noqa: E402
from tests.benchmarks.bars import Bar, compare_ids  # noqa: E402
from tests.benchmarks.candidates import Bundle, Cached, Decoded, Espnet  # noqa: E402
from tests.benchmarks.espnet_search import quantize_linear  # noqa: E402
from tests.benchmarks.first_paper import make_waveform  # noqa: E402
from tests.benchmarks.floor import Floor  # noqa: E402
from tests.benchmarks.footprints import measure_sparse_layer  # noqa: E402
from tests.benchmarks.fresh_process import measure_footprint  # noqa: E402
from tests.benchmarks.interleave import Ratio, Timed, ratio, time_interleaved  # noqa: E402
from tests.benchmarks.machine_watch import tell_others  # noqa: E402
from tests.benchmarks.shape_runs import packing_works, time_steps  # noqa: E402
from tests.benchmarks.torch_cached import CachedTranslator, join_packed  # noqa: E402
from tests.models.checkpoints import asr_config, random_state, write_checkpoint  # noqa: E402

TOKENS = ["<blank>", "<unk>", *(f"w{index}" for index in range(37)), "<sos/eos>"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ASR model with a CTC, sharp enough for waveforms to give different results."""
    config = asr_config(token_list=TOKENS, token_type="word")
    state = random_state(config, 3)
    for name, value in state.items():
        if "output_layer.weight" in name or "ctc_lo.weight" in name or "src_attn.linear_v" in name:
            value *= 3.0
    return write_checkpoint(tmp_path_factory.mktemp("model") / "checkpoint", config, state)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Model:
    return load_model(checkpoint)


@pytest.fixture(scope="module")
def bundle(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compressed = compress_model(model, Configuration(scheme=Scheme(kernel="fp32")))
    return write_bundle(model, compressed, tmp_path_factory.mktemp("bundles") / "fp32")


@pytest.mark.parametrize("tokens", [None, 1, 9])
@pytest.mark.parametrize("beam_size", [1, 4])
def test_the_cached_decoder_decodes_espnets_tokens(model: Model, beam_size: int, tokens: int | None) -> None:
    candidates: dict[str, Any] = {"plain": Cached(CachedTranslator.of(model, beam_size))}
    if packing_works():
        candidates["packed"] = Cached(CachedTranslator.of(model, beam_size, join_packed))
    espnet = Espnet.of(model, beam_size)
    for seed in range(3):
        waveform = make_waveform(0.5 + 0.3 * seed, seed)
        expected = espnet.decode(waveform, tokens).ids
        for name, candidate in candidates.items():
            assert candidate.decode(waveform, tokens).ids == expected, name


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 0.7])
def test_so_do_bundles_at_a_fixed_number_of_tokens(model: Model, bundle: Path, ctc_weight: float) -> None:
    """Also where the pre-beam of joint decoding has to do without eos. Blanks are no tokens, and are left out of both."""
    opened = Bundle.of(bundle, 1, ctc_weight)
    for beam_size in (1, 3, 6):
        espnet = Espnet.of(model, beam_size, ctc_weight)
        for seed in range(3):
            waveform = make_waveform(1.5 + 0.5 * seed, seed)
            assert opened.with_beam(beam_size).decode(waveform, 12).ids == espnet.decode(waveform, 12).ids, (beam_size, seed)


def test_eos_is_never_taken_where_it_is_forbidden(model: Model) -> None:
    """The random model ends early; forbidden to, it goes on to the last token."""
    waveform = make_waveform(1.0)
    ids = Espnet.of(model, 4).fixed.ids(waveform, -9.0)
    assert len(ids) == 9
    assert model.eos not in ids


@pytest.mark.parametrize("dtype", [torch.qint8, torch.float16])
def test_dynamic_quantization_changes_every_linear_layer(model: Model, dtype: Any) -> None:
    quantized = quantize_linear(model, dtype)
    assert not any(type(module) is torch.nn.Linear for module in quantized.network.modules())
    assert any(type(module) is torch.nn.Linear for module in model.network.modules())
    assert Espnet.of(quantized, 3).decode(make_waveform(1.0), 5).total_ms > 0


def test_stages_add_up(model: Model, bundle: Path) -> None:
    for candidate in (Espnet.of(model, 3), Cached(CachedTranslator.of(model, 3)), Bundle.of(bundle, 1)):
        found = candidate.decode(make_waveform(1.0), 5)
        stages = (found.features_ms, found.encoder_ms, found.search_ms)
        assert min(stages) > 0
        assert sum(stages) <= found.total_ms * 1.001


def test_every_step_is_timed(bundle: Path) -> None:
    steps = time_steps(Bundle.of(bundle, 1), make_waveform(1.0), 7)
    assert steps.shape == (7,)
    assert (steps > 0).all()


@pytest.mark.parametrize("int8", [False, True])
def test_the_floor_computes_all_its_products(int8: bool) -> None:
    floor = Floor(steps=3, beam=2, frames=5, threads=1, int8=int8)
    assert floor.decode(None, None).search_ms > 0
    outputs = [binding.copy_outputs_to_cpu()[0] for binding in floor._bound]
    assert [output.shape for output in outputs] == [(1, 4_000), (2, 4_000), (2, 4_000)]
    assert all(1e-5 < np.abs(output).mean() < 1e5 for output in outputs)  # neither denormal nor infinite, which would be slow or fast
    steps: list[Any] = []
    floor._session = SimpleNamespace(run_with_iobinding=steps.append)
    floor.decode(None, 1)
    floor.decode(None, None)
    assert steps == [floor._bound[0], *floor._bound]


class Sleeper:
    """Takes its turn, notes it, and decodes nothing."""

    def __init__(self, name: str, turns: list[str]) -> None:
        self.name, self.turns = name, turns

    def decode(self, waveform: Any, tokens: int | None) -> Decoded:
        self.turns.append(f"{self.name}{waveform}:{tokens}")
        return Decoded(0.0, 0.0, 1.0, float(len(self.name)), (waveform,))


def test_candidates_take_turns_and_warm_up_just_before_theirs() -> None:
    turns: list[str] = []
    candidates = {name: Sleeper(name, turns) for name in ("a", "bb", "ccc")}
    timed = time_interleaved(candidates, [7, 8], 40, 2, np.random.default_rng(0))
    assert len(turns) == 3 * 2 * 2 * 2
    assert [turn.replace(":40", ":2") for turn in turns[1::2]] == turns[::2]  # each timed run follows a short one of the same
    rounds = [{turn[: turn.index(":") - 1] for turn in turns[start : start + 6]} for start in range(0, 24, 6)]
    assert rounds == [{"a", "bb", "ccc"}] * 4
    assert timed["ccc"].samples["total_ms"].tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert timed["a"].ids == ((7,), (8,))


def test_ratios_and_verdicts() -> None:
    slow, fast = np.array([[8.0, 9.0, 10.0]]), np.array([[1.0, 1.0, 1.0]])
    found = ratio(slow, fast)
    assert (found.value, found.low, found.high) == (9.0, 8.0, 10.0)
    assert Bar("faster", found, 9.0).verdict == "met"
    assert Bar("faster", found, 9.1).verdict == "missed"
    assert Bar("smaller", 0.2, 0.1, at_least=False).verdict == "missed"
    assert Bar("on a GPU", None, 1.0, reason="none here").verdict == "not run (none here)"
    assert "9.00 [8.00, 10.00]" in str(Bar("faster", Ratio(9.0, 8.0, 10.0), 9.0))


def test_ids_are_compared_without_what_is_no_token() -> None:
    samples = {"total_ms": np.ones((1, 1))}
    timed = {"one": Timed(samples, ((1, 2, 3),)), "two": Timed(samples, ((0, 1, 2, 3, 9),)), "three": Timed(samples, ((1, 5, 3),))}
    found = compare_ids(timed, "one", (0, 9))
    assert (found["two"], found["three"]) == ("identical", "different (2 of 3 in place)")


def test_a_busy_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = MachineWatch(busy_s=3.0, own_s=2.0, all_s=100.0)
    monkeypatch.setattr(MachineWatch, "now", lambda: now)
    began = MachineWatch(0.0, 0.0, 0.0)
    assert tell_others(began, "a part") == "  (others had 1.0 % of the machine during a part)"
    assert "DO NOT TRUST" in tell_others(replace(began, all_s=90.0), "a part")  # the same second, of ten
    assert "not known here" in tell_others(None, "a part")


def test_a_sparse_layer_is_weighed_with_its_scales() -> None:
    """2048 x 256 weights: mask 1 bit each, 30 % of them at 8 bits, 2048 scales of 4 bytes in both."""
    weights, scales = 2048 * 256, 4 * 2048
    assert measure_sparse_layer() == pytest.approx((weights / 8 + 0.3 * weights + scales) / (weights + scales), rel=1e-3)


def test_a_process_of_its_own_says_what_it_took(checkpoint: Path, bundle: Path) -> None:
    """A bundle needs a fraction of the memory: no torch is imported beside it."""
    in_torch, in_bundle = (
        measure_footprint(kind, path, threads=1, seconds=1.0, tokens=3) for kind, path in (("espnet", checkpoint), ("bundle", bundle))
    )
    assert in_bundle.peak_mb >= in_bundle.imported_mb > 10
    assert in_bundle.peak_mb < in_torch.imported_mb
    assert in_bundle.size_bytes == sum(file.stat().st_size for file in bundle.iterdir())
    with pytest.raises(RuntimeError, match="no-such-folder"):
        measure_footprint("espnet", Path("no-such-folder"), 1, 1.0, 3)
    with pytest.raises(BadInput, match="no-such-folder"):
        measure_footprint("bundle", Path("no-such-folder"), 1, 1.0, 3)
