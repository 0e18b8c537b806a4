"""What bundles of one model translate a split to, each configuration once, and how they differ."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from paredown.data import Split
from paredown.quality import Difference, paired_difference, score
from paredown.space.configuration import Configuration
from paredown.trials.decoding import Decoder
from paredown.trials.workshop import Workshop


@dataclass(eq=False)
class Decodings:
    """Bundles run themselves, utterance by utterance, and are thrown away. `folder`: where what they said stays, None for nowhere."""

    workshop: Workshop
    decoder: Decoder
    split: Split
    folder: Path | None = None
    _texts: dict[str, list[str]] = field(default_factory=dict)

    def texts(self, configuration: Configuration) -> list[str]:
        """The lines of this configuration's bundle."""
        if configuration.digest not in self._texts:
            self._texts[configuration.digest] = self._kept(configuration)
        return self._texts[configuration.digest]

    def _kept(self, configuration: Configuration) -> list[str]:
        """From the folder, or decoded."""
        name = f"{self.split.digest[:12]}-{self.workshop.model.digest[:12]}-{configuration.digest}.json"
        if self.folder is not None and (self.folder / name).exists():
            return [str(line) for line in json.loads((self.folder / name).read_text())]
        found = [hypothesis.text for hypothesis in self.decoder.decode(self.workshop.build(configuration), self.split)]
        self.workshop.discard(configuration)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(json.dumps(found))
        return found

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
