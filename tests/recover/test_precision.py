"""Products of bfloat16 are taken only where the hardware makes them."""

import pytest
import torch

from paredown.recover.precision import has_bfloat16, training_device


@pytest.mark.parametrize(
    ("flags", "expected"),
    [({}, False), ({"avx512_f": True, "amx_bf16": False}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)
def test_cpus_are_asked_for_their_instructions(flags: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    assert has_bfloat16(torch.device("cpu")) is expected


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_are_asked_for_their_generation(capability: tuple[int, int], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_bfloat16(torch.device("cuda")) is expected


@pytest.mark.parametrize(("sees_one", "expected"), [(True, "cuda"), (False, "cpu")])
def test_weights_are_trained_on_a_gpu_where_there_is_one(sees_one: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: sees_one)
    assert training_device().type == expected


def test_other_devices_compute_in_float32() -> None:
    assert not has_bfloat16(torch.device("meta"))
