"""The systems of Table 2 as configurations: system 11 of Table 1 with codes of many widths, rounded or trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from paredown.space.configuration import Configuration
from studies.conformer_4bit.allocations import by_hand, by_sensitivity, coded, decoder_layers, encoder_layers
from studies.conformer_4bit.systems import BATCH_S, baseline, searched
from studies.reproduction.bench import Bench

QAT_STEPS, QAT_RATE = 120, 2e-4
TRAINED = (3, 8, 10)
FOUR = 4


@dataclass(frozen=True)
class Ladder:
    """Configurations by the paper's ID; `trained`: those of `TRAINED` after training, empty without a train split.

    `printed`: ID 8 by Eq. 7 as printed. `whole`: the uncompressed architecture with codes everywhere, from mild to aggressive.
    """

    ids: Mapping[int, Configuration]
    printed: Configuration
    whole: Mapping[str, Configuration]
    trained: Mapping[int, Configuration] = field(default_factory=dict)

    def best(self, number: int) -> Configuration:
        """After training where it was trained."""
        return self.trained.get(number, self.ids[number])


def ladder(bench: Bench) -> Ladder:
    """All of them."""
    base, inventory = baseline(bench), bench.model.inventory()
    start, encoder, decoder = searched(bench).configurations[11], encoder_layers(inventory), decoder_layers(inventory)
    rest = dict.fromkeys(decoder, FOUR)
    even = dict.fromkeys(encoder, FOUR)
    chosen = {number: by_sensitivity(bench, start, average) for number, average in ((6, 2.5), (7, 3.0), (8, 4.0))}
    ids = {0: base, 1: start}
    ids |= {number: coded(start, dict.fromkeys(encoder, bits)) for number, bits in ((2, 2), (3, FOUR), (4, 8))}
    ids |= {5: coded(start, by_hand(inventory, start))}
    ids |= {number: coded(start, bits) for number, bits in chosen.items()}
    ids |= {9: coded(start, even | rest), 10: coded(start, chosen[8] | rest)}
    whole = {
        "whole architecture, uniform 8 bits": coded(base, dict.fromkeys((*encoder, *decoder), 8)),
        "whole architecture, KL 6 bits": coded(base, by_sensitivity(bench, base, 6.0, encoder=False)),
        "whole architecture, KL 4 bits": coded(base, by_sensitivity(bench, base, 4.0, encoder=False)),
    }
    printed = coded(start, by_sensitivity(bench, start, 4.0, "encoder_output"))
    trained = {} if bench.data is None else {number: aware(bench, ids[number]) for number in TRAINED}
    return Ladder(ids, printed, whole, trained)


def aware(bench: Bench, configuration: Configuration) -> Configuration:
    """The same after quantization-aware training of a few steps. Raises ValueError without a train split."""
    return bench.trained(configuration, bench.stage("qat", QAT_STEPS, QAT_RATE, seed=0, batch_s=BATCH_S))
