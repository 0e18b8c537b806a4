"""What bundles of one model translate a split to, each configuration once, and how they differ."""

from dataclasses import dataclass, field

from paredown.data import Split
from paredown.quality import Difference, paired_difference, score
from paredown.space.configuration import Configuration
from paredown.trials.decoding import Decoder
from paredown.trials.workshop import Workshop


@dataclass(eq=False)
class Decodings:
    """Bundles run themselves, utterance by utterance, and are thrown away."""

    workshop: Workshop
    decoder: Decoder
    split: Split
    _texts: dict[str, list[str]] = field(default_factory=dict)

    def texts(self, configuration: Configuration) -> list[str]:
        """The lines of this configuration's bundle."""
        if configuration.digest not in self._texts:
            found = self.decoder.decode(self.workshop.build(configuration), self.split)
            self._texts[configuration.digest] = [hypothesis.text for hypothesis in found]
            self.workshop.discard(configuration)
        return self._texts[configuration.digest]

    def chrf(self, configuration: Configuration) -> float:
        """Its corpus score."""
        return score("chrf", self.texts(configuration), self._references).value

    def difference(self, candidate: Configuration, reference: Configuration) -> Difference:
        """The candidate's chrF minus the reference's, by sacrebleu's statistics, paired bootstrap over utterances."""
        return paired_difference("chrf", self.texts(candidate), self.texts(reference), self._references)

    @property
    def _references(self) -> tuple[str, ...]:
        return self.split.references(self.workshop.model.task)


def told(difference: Difference) -> str:
    """A difference with its interval."""
    low, high = difference.ci95
    return f"{difference.value:+.2f} chrF [{low:+.2f}, {high:+.2f}]"
