"""Configurations of the bundled model that are recovered by training, fixed here: rates, steps, mixtures, seeds, order.

They train on the recipe's *train* split alone; nothing here was chosen by *test*.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from paredown.analysis.result import WIDTHS
from paredown.data import load_split
from paredown.models import Model
from paredown.recover.training_data import TrainingData
from paredown.space.axes.bits import BitsAxis, Table
from paredown.space.configuration import TRANSFORMATIONS, Configuration, Scheme
from paredown.space.training import Training
from paredown.trials.evaluation import uncompressed
from paredown.trials.recoveries import recovery_key
from paredown.trials.space import uniform_bits

TRAIN = Path("studies/bundled_model/cache/train")
REMOVED_BLOCKS = (1, 2)  # of the decoder, counted from 0: the two that the greedy order by chrF on analysis removes first
AVERAGE = 2.4  # of the mixed widths: 12.4 times fewer nominal bits
LOWER = 2.2  # 13.4 times fewer
UNITS = 768  # of 960 hidden units of every feed-forward, the most important ones


def open_training_data() -> TrainingData:
    """The recipe's train split. Raises BadInput if it was not made."""
    return TrainingData(load_split(TRAIN))


@dataclass(frozen=True)
class Recoveries:
    """Every recovered configuration of the benchmarks. `table`: sensitivities of the layers, which the mixed widths are chosen by.

    `scale` shortens every stage, for a quick look whether it runs.
    """

    model: Model
    data: str
    table: Table
    scale: float = 1.0

    def stage(self, kind: str, steps: int, rate: float, seed: int, **settings: object) -> Training:
        """A stage that learns from the uncompressed model's posteriors more than from references; short, so without dropout or masking."""
        settings = {"teacher": 0.8, "dropout": False, "masking": False, "warmup_steps": min(50, round(steps * self.scale) // 4), **settings}
        return Training(kind, self.data, steps=max(1, round(steps * self.scale)), rate=rate, seed=seed, **settings)  # type: ignore[arg-type]

    def with_training(self, configuration: Configuration, *stages: Training, start: Configuration | None = None) -> Configuration:
        """The configuration trained before it is quantized, from its own weights or those of another recovery."""
        first = () if start is None else (f"recovered:{recovery_key(self.model.digest, start)}",)
        return replace(configuration, schedule=(*first, *TRANSFORMATIONS[:-1], *stages, TRANSFORMATIONS[-1]))

    @cached_property
    def without_blocks(self) -> Configuration:
        """Two of the six decoder blocks gone, nothing else changed."""
        kept = tuple(block for block in range(dict(self.model.inventory().blocks)["decoder"]) if block not in REMOVED_BLOCKS)
        return replace(uncompressed(self.model), keep=(("decoder", kept),))

    @cached_property
    def distilled(self) -> Configuration:
        """The same, all weights trained, twice: the rate rises once more."""
        stages = (self.stage("distill", 900, 8e-4, seed=1), self.stage("distill", 700, 6e-4, seed=8))
        return self.with_training(self.without_blocks, *stages)

    @cached_property
    def adapted(self) -> Configuration:
        """The same, adapters of rank 64 trained."""
        return self.with_training(self.without_blocks, self.stage("lora", 1100, 3e-4, seed=2, rank=64, alpha=128.0))

    def uniform(self, bits: int, method: str = "rtn") -> Configuration:
        """Every layer at one width."""
        made = uniform_bits(self.model.inventory(), bits, uncompressed(self.model).decode)
        return replace(made, scheme=replace(made.scheme, method=method))  # type: ignore[arg-type]

    def mixed(self, average: float) -> Configuration:
        """The widths that cost least by the table, at an average."""
        inventory = self.model.inventory()
        axis = BitsAxis(inventory, tuple(layer.path for layer in inventory.layers), WIDTHS, self.table, WIDTHS[0], WIDTHS[-1])
        decode = uncompressed(self.model).decode
        return axis.resolve({"bits.average": average}, Configuration(decode=decode, scheme=Scheme()))

    @cached_property
    def trained_4_bits(self) -> Configuration:
        """Quantization-aware training at 4 bits, from the model's weights."""
        return self.with_training(self.uniform(4), self.stage("qat", 400, 3e-4, seed=3))

    @cached_property
    def trained_3_bits(self) -> Configuration:
        """The same at 3 bits, from the weights at 4."""
        return self.with_training(self.uniform(3), self.stage("qat", 600, 4e-4, seed=4), start=self.trained_4_bits)

    @cached_property
    def trained_mixed(self) -> Configuration:
        """Mixed widths, from the weights at 3 bits."""
        return self.with_training(self.mixed(AVERAGE), self.stage("qat", 1000, 6e-4, seed=5), start=self.trained_3_bits)

    @cached_property
    def trained_lower(self) -> Configuration:
        """Mixed widths of a lower average, from those of the higher one."""
        return self.with_training(self.mixed(LOWER), self.stage("qat", 800, 5e-4, seed=10), start=self.trained_mixed)

    @cached_property
    def trained_2_bits(self) -> Configuration:
        """All at 2 bits (three values), from the mixed ones."""
        return self.with_training(self.uniform(2), self.stage("qat", 1000, 6e-4, seed=6), start=self.trained_mixed)

    @cached_property
    def longer_4_bits(self) -> Configuration:
        """4 bits again, from the mixed weights, which have seen three times as much: whether 400 steps were too few."""
        return self.with_training(self.uniform(4), self.stage("qat", 200, 2e-4, seed=9), start=self.trained_mixed)

    @cached_property
    def trained_narrow(self) -> Configuration:
        """The same with fewer hidden units in every feed-forward, from the weights of all."""
        width = tuple((path, UNITS) for path in self.model.inventory().feed_forwards)
        return self.with_training(replace(self.uniform(2), width=width), self.stage("qat", 700, 6e-4, seed=7), start=self.trained_2_bits)
