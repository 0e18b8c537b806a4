"""What layers read, against the layers' own arithmetic: a moment must be that of numbers which give the layer's outputs."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from paredown.compress.calibrate import calibrate, read_rows
from paredown.compress.calibration import Calibration, LayerMoment
from paredown.compress.layer_calls import EMBEDDING, Utterance, run_layers
from paredown.models.groups import build_inventory
from paredown.models.network import Network, build_network
from tests.models.checkpoints import ENCODERS, asr_config, random_state, st_config

SOS = 7
MELS = 20


@cache
def network(kind: str = "conformer-latest") -> Network:
    """Not to be changed."""
    config: dict[str, Any] = asr_config() if kind == "asr" else st_config(kind)
    built = build_network(config).eval()
    built.load_state_dict(random_state(config))
    return built


def utterance(frames: int, *hypotheses: tuple[int, ...], seed: int = 0) -> Utterance:
    return Utterance(np.random.default_rng(seed).standard_normal((frames, MELS), dtype=np.float32), hypotheses)


def outputs(own: Network, path: str, heard: Utterance) -> np.ndarray:
    """What the module itself puts out for one hypothesis, as rows [rows, out], without its bias."""
    found: list[torch.Tensor] = []
    module = own.get_submodule(path)
    hook = module.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    with torch.no_grad():
        memory, steps = own.encode(torch.from_numpy(heard.features)[None], torch.tensor([len(heard.features)]))
        tokens = torch.tensor([[SOS, *heard.hypotheses[0]]])
        own.decoder(memory, steps, tokens, torch.tensor([tokens.shape[1]]))
        if own.output_ctc is not None:
            own.output_ctc.ctc_lo(memory)
    hook.remove()
    [output] = found
    channels = output.permute(0, 2, 3, 1) if output.ndim == 4 else output.transpose(1, 2) if isinstance(module, torch.nn.Conv1d) else output
    bias = module.bias
    return (channels.reshape(-1, channels.shape[-1]) - (0 if bias is None else bias)).detach().numpy()


@pytest.mark.parametrize("kind", [*ENCODERS, "asr"])
def test_moments_are_those_of_what_gives_the_outputs(kind: str) -> None:
    """W H W' is the moment of the outputs W x; and the kept rows give them too."""
    own, heard = network(kind), utterance(70, (2, 3, 4))
    found = calibrate(own, [heard], SOS, "")
    layers = [layer for layer in build_inventory(own).layers if layer.kind != "embedding"]
    for layer in layers:
        moment = found.moment(layer.path)
        if moment is None:
            assert "depthwise" in layer.path or layer.path.endswith("csgu.conv")
            continue
        weight = own.get_parameter(f"{layer.path}.weight").detach().numpy().reshape(layer.channels, -1)
        rows = outputs(own, layer.path, heard)
        expected = rows.T @ rows / len(rows)
        np.testing.assert_allclose(weight @ moment @ weight.T, expected, atol=1e-5 * np.abs(expected).max(), err_msg=layer.path)
    for entry in found.rows:
        for path in entry.paths:
            weight = own.get_parameter(f"{path}.weight").detach().numpy()
            rows = outputs(own, path, heard)
            if len(rows) == len(entry.rows):
                np.testing.assert_allclose(entry.rows @ weight.reshape(len(weight), -1).T, rows, atol=1e-4, err_msg=path)
    if kind == "asr":
        assert found.moment("ctc.ctc_lo") is not None


def test_layers_that_are_handed_the_same_numbers_stand_together() -> None:
    groups = {entry.paths for entry in calibrate(network(), [utterance(70, (2, 3))], SOS, "").moments}
    assert tuple(f"encoder.encoders.1.self_attn.linear_{part}" for part in "qkv") in groups
    assert tuple(f"decoder.decoders.0.self_attn.linear_{part}" for part in "qkv") in groups
    assert tuple(f"decoder.decoders.{block}.src_attn.linear_{part}" for block in (0, 1) for part in "kv") in groups
    assert tuple(f"encoder.encoders.{block}.self_attn.linear_pos" for block in (0, 1)) in groups
    assert ("decoder.decoders.1.src_attn.linear_q",) in groups
    assert ("decoder.embed.0",) in groups


def test_hypotheses_of_a_beam_count_one_by_one() -> None:
    """Padding must not: the moment over three hypotheses is the mean over their positions; the memory, which they share, counts once."""
    own, hypotheses = network(), [(2, 3, 4, 5), (), (6, 2)]
    alone = [calibrate(own, [utterance(70, tokens)], SOS, "") for tokens in hypotheses]
    together = calibrate(own, [utterance(70, *hypotheses)], SOS, "")
    lengths = [1 + len(tokens) for tokens in hypotheses]
    for path in ("decoder.decoders.1.self_attn.linear_q", "decoder.decoders.1.feed_forward.w_2", "decoder.output_layer"):
        expected = sum(length * found.moment(path) for length, found in zip(lengths, alone, strict=True)) / sum(lengths)
        np.testing.assert_allclose(together.moment(path), expected, rtol=1e-4, atol=1e-6)
    for path in ("decoder.decoders.1.src_attn.linear_k", "encoder.encoders.0.feed_forward.w_2"):
        np.testing.assert_allclose(together.moment(path), alone[0].moment(path), rtol=1e-5, atol=1e-6)
    rows = {entry.paths[0]: entry for entry in together.rows}["decoder.output_layer"]
    assert len(rows.rows) == sum(lengths)


def test_ranges_are_those_of_an_utterance_and_of_a_step() -> None:
    calls = {}
    layers = [layer for layer in build_inventory(network()).layers if layer.kind != "conv"]
    own = copy.deepcopy(network())
    run_layers(own, layers, utterance(70, (2, 3), (4,)), SOS, torch.Generator(), lambda call: calls.setdefault(call.path, call))
    encoder = calls["encoder.encoders.0.feed_forward.w_2"]
    assert torch.equal(encoder.lows, encoder.rows.min().expand(len(encoder.rows)))
    assert torch.equal(encoder.highs, encoder.rows.max().expand(len(encoder.rows)))
    steps = [[0, 3], [1, 4], [2]]  # rows: three positions of the first hypothesis, then two of the second
    for decoder in (
        call for path, call in calls.items() if path.startswith("decoder.") and "linear_k" not in path and "linear_v" not in path
    ):
        assert len(decoder.rows) == 5
        for step in steps if decoder.path != EMBEDDING else ():
            assert torch.equal(decoder.lows[step], decoder.rows[step].min().expand(len(step)))
            assert torch.equal(decoder.highs[step], decoder.rows[step].max().expand(len(step)))


def test_an_embedding_is_weighed_by_the_gradient_that_its_weight_would_get() -> None:
    own, tokens = copy.deepcopy(network()), (2, 3, 4)  # all different, so that a row of the weight's gradient is one position's
    heard = utterance(70, tokens)
    found = calibrate(own, [heard], SOS, "").moment("decoder.embed.0")
    memory, steps = own.encode(torch.from_numpy(heard.features)[None], torch.tensor([70]))
    logits, _ = own.decoder(memory, steps, torch.tensor([[SOS, *tokens]]), torch.tensor([4]))
    drawn = torch.multinomial(logits[0].softmax(-1), 1, generator=torch.Generator().manual_seed(0))[:, 0]
    torch.nn.functional.cross_entropy(logits[0], drawn, reduction="sum").backward()
    gradients = own.decoder.embed[0].weight.grad[[SOS, *tokens]].numpy()
    np.testing.assert_allclose(found, gradients.T @ gradients / 4, rtol=1e-3, atol=1e-5 * np.abs(gradients).max() ** 2)


def test_the_same_data_give_the_same_bits_and_leave_the_network_as_it_was() -> None:
    own, heard = network(), [utterance(60 + seed, (2, 3, 4), (5,), seed=seed) for seed in range(3)]
    before = copy.deepcopy(own.state_dict())
    first = calibrate(own, heard, SOS, "")
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        second = calibrate(own, heard, SOS, "")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    for one, two in zip(first.moments, second.moments, strict=True):
        assert one.paths == two.paths
        assert one.matrix.tobytes() == two.matrix.tobytes()
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())
    assert all(parameter.grad is None for parameter in own.parameters())
    copy.deepcopy(own)  # which a network that kept a graph of gradients refuses
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in own.modules())


def test_of_many_rows_some_are_taken_evenly_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, path = [utterance(400, (2, 3), seed=seed) for seed in range(2)], "encoder.encoders.0.feed_forward.w_1"
    whole = {entry.paths[0]: entry.rows for entry in read_rows(network(), heard, SOS)}[path].reshape(2, 65, 16)
    monkeypatch.setattr("paredown.compress.calibrate._KEPT_ROWS", 10)
    monkeypatch.setattr("paredown.compress.calibrate._MOMENT_ROWS", 40)
    part = calibrate(network(), heard, SOS, "")
    kept = {entry.paths[0]: entry.rows for entry in part.rows}[path]
    later = int(0.618 * 65) // 5  # of the second utterance others than of the first, or all would be near its beginning
    np.testing.assert_array_equal(kept, np.concatenate([whole[0, [0, 13, 26, 39, 52]], whole[1, later + np.array([0, 13, 26, 39, 52])]]))
    rows = whole[:, np.arange(20) * 65 // 20].reshape(-1, 16)
    np.testing.assert_allclose(part.moment(path), rows.T @ rows / len(rows), rtol=1e-4, atol=1e-5)


def test_every_unit_has_its_extremes_though_few_rows_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all rows of all calls; of hypotheses that are shorter than others without what stands behind their ends."""
    heard = [utterance(100 + 50 * seed, (2, 3, 4), (5,), seed=seed) for seed in range(3)]
    monkeypatch.setattr("paredown.compress.calibrate._KEPT_ROWS", 10**6)
    whole = {entry.paths: entry for entry in read_rows(network(), heard, SOS)}
    monkeypatch.setattr("paredown.compress.calibrate._KEPT_ROWS", 3)
    for entry in read_rows(network(), heard, SOS):
        rows = whole[entry.paths].rows
        np.testing.assert_array_equal(entry.least, rows.min(axis=0))
        np.testing.assert_array_equal(entry.most, rows.max(axis=0))
        assert len(entry.rows) == 3


def test_rows_alone_are_the_rows_of_a_calibration() -> None:
    heard, done = [utterance(70, (2, 3, 4), (5,))], []
    whole = calibrate(network(), heard, SOS, "", lambda now, total: done.append((now, total)))
    assert done == [(1, 1)]
    for one, two in zip(read_rows(network(), heard, SOS), whole.rows, strict=True):
        assert one.paths == two.paths
        for name in ("rows", "lows", "highs", "least", "most"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_nobody_is_calibrated_on_silence() -> None:
    with pytest.raises(ValueError, match="at least one utterance, got none"):
        calibrate(network(), [], SOS, "")


def test_a_calibration_comes_back_from_its_file(tmp_path: Path) -> None:
    kept = calibrate(network(), [utterance(70, (2, 3, 4))], SOS, "abc")
    kept.save(tmp_path / "one.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["one.npz"]
    found = Calibration.load(tmp_path / "one.npz")
    assert (found.digest, found.utterances) == ("abc", 1)
    for one, two in zip(found.moments, kept.moments, strict=True):
        assert one.paths == two.paths
        np.testing.assert_array_equal(one.matrix, two.matrix)
    for one, two in zip(found.rows, kept.rows, strict=True):
        assert one.paths == two.paths
        for name in ("rows", "lows", "highs", "least", "most"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_a_moment_is_symmetric_to_the_last_bit() -> None:
    """A product X'X need not be: a calibration from its file would give other codes than the one that was written."""
    for entry in calibrate(network(), [utterance(70, (2, 3, 4))], SOS, "").moments:
        assert entry.matrix.tobytes() == np.ascontiguousarray(entry.matrix.T).tobytes()
    with pytest.raises(ValueError, match="a moment must be symmetric, got one of a that is not"):
        LayerMoment(("a",), np.array([[1, 2], [3, 4]], np.float32))


def test_a_damaged_file_is_no_calibration(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    with pytest.raises(FileNotFoundError):
        Calibration.load(path)
    calibrate(network(), [utterance(70, (2,))], SOS, "abc").save(path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:-100], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], b"", b"no"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"must be as paredown wrote it, .*one\.npz"):
            Calibration.load(path)
