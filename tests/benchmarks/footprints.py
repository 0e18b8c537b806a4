"""Bytes, load time and memory: of bundles, of the checkpoint in torch, and of one sparse layer."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from paredown.bundle.pack import pack
from paredown.compress.prune import survivors
from paredown.compress.quantize import quantize
from paredown.errors import BadInput
from paredown.profilers.size import measure_size
from tests.benchmarks.bars import Bar, print_bars
from tests.benchmarks.fresh_process import measure_footprint
from tests.benchmarks.shape_runs import CACHED, ESPNET, FLOAT16, QINT8, bundle_name

BYTES_TO_FP32: Mapping[int, float] = {8: 0.27, 4: 0.145, 3: 0.112, 2: 0.083}
KINDS = {ESPNET: "espnet", QINT8: "qint8", FLOAT16: "float16", CACHED: "cached"}


def run_bytes(bundles: Mapping[int, Path]) -> list[Bar]:
    """Bundles of every width beside the fp32 one, and a layer at 70 % sparsity and 8 bits beside its dense self."""
    sizes = {bits: measure_size(path).size_bytes for bits, path in bundles.items()}
    print("\nbytes of bundles: " + ", ".join(f"{bundle_name(bits)} {size / 1e6:.2f} MB" for bits, size in sizes.items()))
    bars = [
        Bar(f"bytes at {bits} bits to fp32", sizes[bits] / sizes[32], limit, at_least=False)
        for bits, limit in BYTES_TO_FP32.items()
        if bits in sizes
    ]
    bars.append(Bar("a layer of 2048x256 at 8 bits: 70 % sparse to dense", measure_sparse_layer(), 0.45, at_least=False))
    print_bars("bars of bytes", bars)
    return bars


def measure_sparse_layer(share: float = 0.7, shape: tuple[int, int] = (2048, 256)) -> float:
    """Bytes of a layer with the smallest weights pruned, in shares of its dense bytes; scales counted in both."""
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    mask = survivors({"layer": weight}, share)["layer"]
    sparse, dense = (len(pack({"layer": quantize(weight, 8, mask=chosen)}).data) for chosen in (mask, None))
    return sparse / dense


def run_footprints(checkpoint: Path, bundles: Mapping[int, Path], threads: int, seconds: float, tokens: int) -> list[Bar]:
    """Load time and peak memory, each in a process of its own; `checkpoint` for the runtimes in torch."""
    print(f"\na process of its own: load, then decode {seconds:g} s of audio and {tokens} tokens, beam 10, {threads} threads")
    print(f"  {'':20s}{'load':>9s} ms {'files':>9s} MB {'imports':>9s} MB {'peak':>9s} MB")
    entries = [(name, kind, checkpoint) for name, kind in KINDS.items()]
    entries += [(bundle_name(bits), "bundle", path) for bits, path in bundles.items()]
    bars = []
    for name, kind, path in entries:
        try:
            found = measure_footprint(kind, path, threads, seconds, tokens)
        except (BadInput, RuntimeError) as error:
            print(f"  {name:20s} not run ({error})")
            continue
        print(f"  {name:20s}{found.load_ms:9.0f}    {found.size_bytes / 1e6:9.1f}    {found.imported_mb:9.0f}    {found.peak_mb:9.0f}")
        if kind == "bundle":
            bars.append(Bar(f"load of {name}", found.load_ms, 1000.0, at_least=False, unit="ms"))
    print_bars("bars of loading", bars)
    return bars
