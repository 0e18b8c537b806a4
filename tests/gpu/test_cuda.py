"""Bundles of the bundled model on an NVIDIA GPU, against the same utterances on the CPU. Run with `pytest -m gpu`."""

from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest

from paredown.data import open_data
from paredown.errors import BadInput
from paredown.runtime import Translator
from paredown.runtime.session import CUDA, Target
from paredown.space.configuration import Configuration, Kernel, Scheme

torch = pytest.importorskip("torch")

from paredown.bundle.write import write_bundle  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.models import load_model  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(CUDA not in onnxruntime.get_available_providers(), reason="onnxruntime here has no CUDA: install paredown[gpu]"),
]
MODEL = "bundled:tatoeba-en-de"
BEAM_SIZE = 5

Write = Callable[[Kernel, int | None], Path]
Tokens = tuple[int, ...]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Writes the model's bundle of one kernel, without quantization or with so many bits in every layer."""
    model, folder = load_model(MODEL), tmp_path_factory.mktemp("bundles")

    def make(kernel: Kernel, bits: int | None = None) -> Path:
        layers = model.inventory().layers if bits else ()
        configuration = Configuration(bits=tuple((layer.path, bits or 8) for layer in layers), scheme=Scheme(kernel=kernel))
        return write_bundle(model, compress_model(model, configuration), folder / f"{kernel}-{bits}", force=True)

    return make


def decode(bundle: Path, target: Target, rounding: bool = True) -> list[Tokens]:
    """The tokens of every utterance of the test split."""
    translator = Translator.from_bundle(bundle, threads=2, beam_size=BEAM_SIZE, target=target, rounding=rounding)
    return [translator.translate(utterance.audio).ids for utterance in open_data(f"{MODEL}/test").utterances]


def agreement(found: list[Tokens], expected: list[Tokens]) -> float:
    return sum(ids == others for ids, others in zip(found, expected, strict=True)) / len(expected)


@pytest.fixture(scope="module")
def cpu(write: Write) -> list[Tokens]:
    return decode(write("fp32", None), "cpu")


def test_fp32_gives_the_tokens_of_the_cpu(write: Write, cpu: list[Tokens]) -> None:
    assert len(set(cpu)) > len(cpu) / 2
    assert agreement(decode(write("fp32", None), "cuda"), cpu) == 1.0


def test_fp16_gives_the_tokens_of_fp32_on_the_cpu(write: Write, cpu: list[Tokens]) -> None:
    assert agreement(decode(write("fp16", None), "cuda"), cpu) >= 0.99


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_nbits_gives_the_tokens_of_the_same_bundle_on_the_cpu(write: Write, bits: int) -> None:
    """On a CPU that does not round activations; rounding them, as it does by default, moves the tokens of 3 to 13 utterances in 100."""
    bundle = write("nbits", bits)
    assert agreement(decode(bundle, "cuda"), decode(bundle, "cpu", rounding=False)) >= 0.98


@pytest.mark.parametrize("kernel", ["fp32", "fp16", "nbits"])
def test_other_shapes_give_the_tokens_of_the_cpu(kernel: Kernel, tmp_path: Path) -> None:
    """Widths and ranks that fill no block, and heads that differ from block to block."""
    model = load_model(MODEL)
    inventory = model.inventory()
    configuration = Configuration(
        bits=tuple((layer.path, 8) for layer in inventory.layers),
        width=tuple((path, units - 7 * number - 1) for number, (path, units) in enumerate(inventory.feed_forwards.items())),
        rank=tuple((f"{path}.w_2", 133 + number % 3) for number, path in enumerate(inventory.feed_forwards)),
        heads=tuple((path, tuple(range(1, heads))) for path, heads in inventory.heads[::3]),
        scheme=Scheme(kernel=kernel),
    )
    bundle = write_bundle(model, compress_model(model, configuration), tmp_path / kernel)
    assert agreement(decode(bundle, "cuda"), decode(bundle, "cpu", rounding=False)) >= 0.98


def test_int8_is_refused(write: Write) -> None:
    with pytest.raises(BadInput, match="int8 runs on the CPU alone"):
        Translator.from_bundle(write("int8", 8), target="cuda")
