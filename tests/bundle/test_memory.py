"""The estimate of memory against what a process really takes: never below it, and not so far above that it says nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from paredown.bundle.write import write_bundle  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.runtime.audio_limits import find_limits  # noqa: E402
from paredown.runtime.bundle_files import read_manifest  # noqa: E402
from paredown.runtime.features import read_frontend  # noqa: E402
from paredown.space.configuration import Configuration, Scheme  # noqa: E402
from tests.bundle.models import make_model  # noqa: E402

PROGRAM = """
import sys
import numpy as np
from paredown.runtime import Translator

def read_bytes(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return 1024 * int(line.split()[1])

translator = Translator.from_bundle(sys.argv[1], memory_limit_bytes=10**12, maxlenratio=-3, beam_size=3)
waveform = np.random.default_rng(0).normal(0, 0.1, int(sys.argv[2])).astype(np.float32)
before = read_bytes("VmRSS")
frames = translator.translate(waveform).frames
print(frames, read_bytes("VmHWM") - before)
"""
WIDE = {"output_size": 64, "attention_heads": 4, "linear_units": 256, "num_blocks": 2}
MODELS = {
    "conformer": ("conformer", {"input_layer": "conv2d", "macaron_style": True, "rel_pos_type": "latest", "cnn_module_kernel": 5}),
    "legacy": ("conformer", {"input_layer": "conv2d2", "rel_pos_type": "legacy", "cnn_module_kernel": 5}),
    "e_branchformer": ("e_branchformer", {"input_layer": "conv2d6", "cgmlp_linear_units": 256, "cgmlp_conv_kernel": 5}),
    "transformer": ("transformer", {"input_layer": "conv2d"}),
    "conv2d1": ("transformer", {"input_layer": "conv2d1"}),
}


def make_bundle(name: str, kernel: str, folder: Path) -> Path:
    encoder, conf = MODELS[name]
    model = make_model(encoder, **WIDE, **conf)
    bits = tuple((layer.path, 8) for layer in model.inventory().layers)
    return write_bundle(model, compress_model(model, Configuration(bits=bits, scheme=Scheme(kernel=kernel))), folder / "bundle")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process's peak memory is read from /proc")
@pytest.mark.parametrize("kernel", ["fp32", "int8"])
@pytest.mark.parametrize("name", MODELS)
def test_an_utterance_takes_no_more_memory_than_estimated(name: str, kernel: str, tmp_path: Path) -> None:
    bundle = make_bundle(name, kernel, tmp_path)
    samples = 16_000 * (100 if name != "conv2d1" else 40)
    ran = subprocess.run([sys.executable, "-c", PROGRAM, str(bundle), str(samples)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    frames, peak_bytes = map(int, ran.stdout.split())
    estimate_bytes = read_manifest(bundle).memory.of(frames, nodes=9)
    assert peak_bytes < estimate_bytes + 20e6  # threads, buffers of onnxruntime that come with its first run
    assert estimate_bytes < 5 * peak_bytes


def test_the_longest_audio_follows_from_the_architecture(tmp_path: Path) -> None:
    """By hand: 40 mels, 4 heads, one frame in four becomes a state; 6.5 arrays of float32 a pair of states."""
    bundle = make_bundle("conformer", "fp32", tmp_path)
    manifest = read_manifest(bundle)
    assert manifest.memory.frames_per_state == 4
    assert manifest.memory.frame_pair_bytes == 6.5 * 4 * 4 / 16
    assert manifest.memory.frame_bytes == 24 * 256  # the features' 256 samples weigh more than 64 channels
    # Two convolutions of 64 channels, over 38 and 36 bands, at every frame.
    assert read_manifest(make_bundle("conv2d1", "fp32", tmp_path / "other")).memory.frame_bytes == round(1.4 * 4 * 64 * (38 + 36))
    frontend = read_frontend(bundle / "frontend.json")
    small, large = (find_limits(manifest.memory, frontend, manifest.least_frames, None, limit) for limit in (10**9, 4 * 10**9))
    assert 1.9 < large.most_samples / small.most_samples < 2.1  # pairs dominate: four times the memory, twice the time
