"""The bundled model through the whole chain, against ESPnet's own beam search on real utterances."""

from pathlib import Path

import pytest

from paredown.bundle import check_parity, write_bundle
from paredown.compress.network import compress_model
from paredown.data import Split, open_data
from paredown.models import Model, load_model
from paredown.profilers.size import measure_size
from paredown.runtime import Translator
from paredown.runtime.audio import read_audio
from paredown.trials.evaluation import UNCOMPRESSED
from paredown.trials.space import uniform_bits
from tests.benchmarks.espnet_search import EspnetTranslator

NAME = "bundled:tatoeba-en-de"


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(NAME)


@pytest.fixture(scope="module")
def fp32(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(model, compress_model(model, UNCOMPRESSED), tmp_path_factory.mktemp("bundles") / "fp32")


def differing(model: Model, bundle: Path, split: Split) -> list[str]:
    """Ids of the utterances for which the bundle and ESPnet decode other tokens."""
    espnet, translator = EspnetTranslator.of(model), Translator.from_bundle(bundle, beam_size=10)
    waveforms = {utterance.id: read_audio(utterance.audio, model.frontend.sample_rate_hz) for utterance in split.utterances}
    return [name for name, waveform in waveforms.items() if espnet.ids(waveform) != translator.translate(waveform).ids]


def test_fp32_bundle_decodes_espnets_tokens(model: Model, fp32: Path) -> None:
    assert differing(model, fp32, open_data(f"{NAME}/search").first(12)) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)  # ESPnet decodes 1,000 utterances in about five minutes
def test_fp32_bundle_decodes_espnets_tokens_on_test(model: Model, fp32: Path) -> None:
    assert len(differing(model, fp32, open_data(f"{NAME}/test"))) <= 2


def test_fp32_bundle_stores_little_beside_its_weights(model: Model, fp32: Path) -> None:
    assert measure_size(fp32).size_bytes <= 1.03 * 4 * model.inference_parameters


def test_shipped_files_keep_to_their_limits(model: Model) -> None:
    folder = model.path.parent
    assert sum(file.stat().st_size for file in model.path.iterdir()) <= 24e6
    assert sum(file.stat().st_size for file in folder.rglob("*.opus")) <= 30e6
    assert [len(open_data(f"{NAME}/{split}")) for split in ("analysis", "search", "test")] == [100, 200, 1000]


def test_parity_of_a_compressed_bundle(model: Model) -> None:
    assert check_parity(model, compress_model(model, uniform_bits(model.inventory(), 4))).passed
