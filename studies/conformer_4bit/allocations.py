"""Bit-widths of Table 2: the same everywhere, by hand, and by sensitivity (section 5 of the paper), at equal nominal bits."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from paredown.analysis.kl import Measure, measure_kl
from paredown.analysis.result import WIDTHS
from paredown.profilers.machine_lock import machine_share
from paredown.space.axes.bits import BitsAxis
from paredown.space.configuration import Configuration, Scheme
from paredown.space.inventory import Inventory
from paredown.space.reduced import original_path, reduce_inventory
from studies.conformer_4bit.search import samples_of
from studies.conformer_4bit.systems import baseline
from studies.reproduction.bench import Bench

UTTERANCES = 10
HAND_BITS, NARROW = 2.6, 2
Bits = dict[str, int]


def encoder_layers(inventory: Inventory) -> tuple[str, ...]:
    """Every quantized layer of the encoder."""
    return tuple(layer.path for layer in inventory.layers if layer.path.startswith("encoder."))


def decoder_layers(inventory: Inventory) -> tuple[str, ...]:
    """Every other one, that of the CTC among them."""
    return tuple(layer.path for layer in inventory.layers if not layer.path.startswith("encoder."))


def coded(configuration: Configuration, bits: Mapping[str, int]) -> Configuration:
    """The configuration with these bit-widths; layers without any stay in fp32."""
    return replace(configuration, bits=tuple(bits.items()), scheme=Scheme())


def sensitivities(bench: Bench, measure: Measure) -> tuple[tuple[str, ...], np.ndarray]:
    """Layers, and the divergence of each at every width, [layers, widths], of the uncompressed model on *analysis*.

    At the encoder's output (Eq. 7 as printed) only the encoder's layers have one.
    """
    inventory, utterances = bench.model.inventory(), 1 if bench.toy else UTTERANCES
    paths = encoder_layers(inventory) + (decoder_layers(inventory) if measure == "posteriors" else ())

    def listen() -> list[list[float]]:
        samples, threads = samples_of(bench, baseline(bench), utterances), bench.decoder.workers
        bench.tell.line(f"sensitivities of {len(paths)} layers ({measure})")
        found = measure_kl(
            bench.model.network, paths, samples, bench.model.sos, measure=measure, threads=threads, progress=tell, unit=machine_share
        )
        return [list(map(float, row)) for row in found]

    def tell(done: int, total: int) -> None:
        bench.tell.progress("layers", done, total)

    return paths, np.array(bench.remember("sensitivities", listen, measure, utterances))


def by_sensitivity(bench: Bench, start: Configuration, average: float, measure: Measure = "posteriors", encoder: bool = True) -> Bits:
    """The widths of least summed divergence whose nominal bits average at most this (Eq. 8), of the encoder or of everything."""
    paths, table = sensitivities(bench, measure)
    rows = [row for row, path in enumerate(paths) if path.startswith("encoder.") or not encoder]
    chosen = tuple(paths[row] for row in rows)
    axis = BitsAxis(bench.model.inventory(), chosen, WIDTHS, table[rows], WIDTHS[0], WIDTHS[-1], budget="bits")
    return axis.resolve({"bits.average": average}, start).bits_of


def average_bits(inventory: Inventory, configuration: Configuration, bits: Mapping[str, int]) -> float:
    """Nominal bits a weight, of the layers that have any."""
    parts = [part for part in reduce_inventory(inventory, configuration).layers if original_path(part.path) in bits]
    return sum(part.weights * bits[original_path(part.path)] for part in parts) / sum(part.weights for part in parts)


def by_hand(inventory: Inventory, configuration: Configuration) -> Bits:
    """The encoder's first and last blocks and its subsampling wide, the rest at 2 bits: the wide width whose average is nearest to 2.6."""
    ends = ("encoder.embed.", *(f"encoder.encoders.{block}." for block in (0, dict(inventory.blocks)["encoder"] - 1)))
    candidates = [
        {path: wide if path.startswith(ends) else NARROW for path in encoder_layers(inventory)}
        for wide in range(NARROW + 1, WIDTHS[-1] + 1)
    ]
    return min(candidates, key=lambda bits: abs(average_bits(inventory, configuration, bits) - HAND_BITS))
