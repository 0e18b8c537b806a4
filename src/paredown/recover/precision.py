"""Where weights are trained, and which devices compute in bfloat16 faster than in float32."""

import torch

_CPU_FLAGS = ("amx_bf16", "avx512_bf16")


def training_device() -> torch.device:
    """The GPU where torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 are made in hardware: CUDA from Ampere on, CPUs with AMX or AVX-512's instructions for it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    known = torch.cpu.get_capabilities()
    return any(known.get(flag, False) for flag in _CPU_FLAGS)
