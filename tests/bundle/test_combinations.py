"""Everything together: random combinations of all transformations, on every kind of network, and each transformation alone.

Each bundle has the bytes that are foretold, passes the parity gate with the kernels that it has, and is written twice with the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.bundle.forecast import Forecast  # noqa: E402
from paredown.bundle.graphs.graph import GraphBuilder  # noqa: E402
from paredown.bundle.parity.follow import ParityError  # noqa: E402
from paredown.bundle.parity.gate import check_parity  # noqa: E402
from paredown.bundle.write import render  # noqa: E402
from paredown.compress.calibrate import calibrate  # noqa: E402
from paredown.compress.calibration import Calibration  # noqa: E402
from paredown.compress.layer_calls import Utterance  # noqa: E402
from paredown.compress.memo import Memo  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.runtime.decoder import DecoderSteps  # noqa: E402
from paredown.space.configuration import Configuration, Decode, Kernel, Scheme  # noqa: E402
from paredown.space.cost import reduced_bytes  # noqa: E402
from paredown.space.reduced import original_path, reduce_inventory  # noqa: E402
from tests.bundle.configurations import draw_structured, prunable_groups  # noqa: E402
from tests.bundle.models import make_model  # noqa: E402
from tests.models.checkpoints import ENCODERS, asr_config, st_config, write_checkpoint  # noqa: E402

BUNDLED, WITH_CTC = "bundled:tatoeba-en-de", {"asr": asr_config(), "st": st_config(model_conf={"st_mtlalpha": 0.3})}
NAMES = (*ENCODERS, *WITH_CTC)
EACH = 28  # of seven networks, and of the bundled model a few: 200 together
OF_BUNDLED = 200 - EACH * len(NAMES)
KERNELS: tuple[Kernel, ...] = ("fp32", "int8", "nbits", "fp16")


@cache
def model_of(name: str) -> Model:
    if name in ENCODERS:
        return make_model(ENCODERS[name]["encoder"], **ENCODERS[name]["encoder_conf"])
    if name == BUNDLED:
        return load_model(BUNDLED)
    with TemporaryDirectory() as folder:
        return load_model(write_checkpoint(Path(folder), WITH_CTC[name]))


def check(model: Model, configuration: Configuration, forecast: Forecast, memo: Memo, calibration: Calibration | None = None) -> None:
    """Raises where a bundle is not as foretold, not what torch computes, or not the same twice."""
    compressed = compress_model(model, configuration, memo, calibration)
    files = render(model, compressed)
    foretold = forecast.foretell(configuration, compressed.calibrated_on)
    assert {name: len(data) for name, data in files.items()} == dict(foretold.files), configuration.to_json()
    assert check_parity(model, compressed).passed, configuration.to_json()
    again = compress_model(model, Configuration.from_json(configuration.to_json()), calibration=calibration)
    assert render(model, again) == files, configuration.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_random_combinations(name: str) -> None:
    model, memo = model_of(name), {}
    forecast = Forecast(model)
    for configuration in draw_structured(model, EACH, seed=NAMES.index(name)):
        check(model, configuration, forecast, memo)


def test_random_combinations_of_the_bundled_model() -> None:
    model, memo = model_of(BUNDLED), {}
    forecast = Forecast(model)
    for configuration in draw_structured(model, OF_BUNDLED, seed=1):
        check(model, configuration, forecast, memo)


@pytest.mark.parametrize("name", ENCODERS)
def test_so_do_calibrated_codes_and_static_activations(name: str) -> None:
    model, memo = model_of(name), {}
    forecast, rng = Forecast(model), np.random.default_rng(0)
    features = [rng.standard_normal((frames, model.frontend.n_mels), dtype=np.float32) for frames in (70, 90)]
    heard = calibrate(model.network, [Utterance(one, ((2, 3, 4, 5), (3, 4))) for one in features], model.sos, "5" * 64)
    for configuration in draw_structured(model, 3, seed=5):
        for scheme in (
            Scheme(activations="static"),
            Scheme(activations="static", method="gptq"),
            replace(configuration.scheme, method="gptq"),
        ):
            check(model, replace(configuration, scheme=scheme), forecast, memo, heard)


def alone(model: Model, kernel: Kernel) -> Iterator[Configuration]:
    """Each transformation without the others."""
    inventory, scheme = model.inventory(), Scheme(kernel=kernel)
    plain = Configuration(scheme=scheme)
    layers = [layer.path for layer in inventory.layers]
    yield replace(plain, keep=(("encoder", (1,)), ("decoder", (0, 1))))
    yield replace(plain, width=tuple((path, 1 + number) for number, path in enumerate(inventory.feed_forwards)))
    yield replace(plain, width=tuple((path, units) for path, units in inventory.feed_forwards.items()))  # nothing is gone
    yield replace(plain, heads=tuple((path, (number % heads,)) for number, (path, heads) in enumerate(inventory.heads)))
    yield replace(plain, heads=inventory.heads[1:2] and ((inventory.heads[1][0], (1,)),))  # unequal in a stack
    yield replace(plain, rank=tuple((f"{path}.w_{part}", 4) for path in inventory.feed_forwards for part in (1, 2)))
    yield replace(plain, rank=tuple((f"{path}.w_2", 1) for path in inventory.feed_forwards))
    yield replace(plain, bits=tuple((path, 16) for path in layers))
    yield replace(plain, bits=tuple((path, 16 if number % 2 else 3) for number, path in enumerate(layers)))
    yield replace(plain, sparsity=tuple((group, 0.5) for group in prunable_groups(model)), bits=tuple((path, 4) for path in layers))
    yield replace(plain, decode=Decode(beam_size=2, ctc_weight=0.2 if model.network.output_ctc is not None else 0.0))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["conformer-latest", "asr", "transformer"])
def test_each_transformation_alone(name: str, kernel: Kernel) -> None:
    model, memo = model_of(name), {}
    forecast = Forecast(model)
    for configuration in alone(model, kernel):
        check(model, configuration, forecast, memo)


def test_the_gate_sees_an_activation_between_two_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    path, product = "decoder.decoders.1.feed_forward.w_2", GraphBuilder._product
    compressed = compress_model(model_of("transformer"), Configuration(rank=((path, 4),)))

    def faulty(builder: GraphBuilder, x: str, paths: Sequence[str], *rest: Any) -> str:
        found = product(builder, x, paths, *rest)
        return builder.node("Relu", [found]) if paths[0] == f"{path}.down" else found

    monkeypatch.setattr(GraphBuilder, "_product", faulty)
    with pytest.raises(ParityError, match=rf"in front of the input of {path}.up"):
        check_parity(model_of("transformer"), compressed)


def test_the_gate_sees_heads_that_are_handed_to_another_block(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed = compress_model(model_of("transformer"), Configuration(heads=(("decoder.decoders.1.src_attn", (1,)),)))
    listen = DecoderSteps.listen

    def faulty(steps: DecoderSteps, *memory: Any) -> None:
        steps._memory_heads = [(2, 4), (4, 5), (0, 2)]
        listen(steps, *memory)

    monkeypatch.setattr(DecoderSteps, "listen", faulty)
    with pytest.raises(ParityError, match=r"behind the product of decoder.decoders.0.*src_attn"):
        check_parity(model_of("transformer"), compressed)


@pytest.mark.parametrize("name", ["conformer-latest", "e_branchformer"])
def test_the_bytes_of_a_layers_parts_are_those_that_the_bundle_spends_on_them(name: str) -> None:
    model = model_of(name)
    forecast = Forecast(model)
    for configuration in draw_structured(model, 20, seed=9):
        reduced, scheme = reduce_inventory(model.inventory(), configuration), configuration.scheme
        records = {record.name: record for record in forecast.foretell(configuration).records}
        compressed = compress_model(model, configuration)
        for path, bits in configuration.bits:
            parts = [layer for layer in reduced.layers if original_path(layer.path) == path]
            if not parts or f"{parts[0].path}.weight" not in records or path.endswith("conv_module.depthwise_conv"):
                continue  # the fold of a batch norm gives every channel a scale of its own
            own = [records[f"{part.path}.weight"] for part in parts]
            masks = [getattr(compressed.tensors[record.name], "mask", None) for record in own]
            survivors = [None if mask is None else int(np.count_nonzero(mask)) for mask in masks]
            expected = sum(record.nbytes + 4 * record.channels for record in own)
            assert reduced_bytes(parts, bits, survivors, scheme.granularity, scheme.kernel) == expected
