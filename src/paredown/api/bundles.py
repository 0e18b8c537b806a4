"""`paredown.convert` and `paredown.translate`: bundles as values, made without a search, and run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.api.telling import Tell, teller
from paredown.api.unguarded import script_hidden
from paredown.api.wording import names_arguments

if TYPE_CHECKING:
    from paredown.bundle.forms import Form
    from paredown.recover.training_data import TrainingData
    from paredown.runtime import Translation
    from paredown.space.configuration import Activations, Configuration, Granularity, Kernel, Method
    from paredown.trials.exporting import Written


@dataclass(frozen=True)
class Bundle:
    """A folder that paredown wrote. `Translator.from_bundle(bundle.folder)` loads it.

    `form`: "bundle", "self-contained" or "espnet". `size_bytes`: all that it needs on disk; `times_smaller`: than the model's parameters in
    fp32. `notes`: what the command line tells of it, a line each: parity with torch, layers that fell back, training.
    """

    folder: Path
    form: "Form"
    size_bytes: int
    times_smaller: float
    notes: tuple[str, ...]
    figures: Mapping[str, Any]

    @classmethod
    def of(cls, written: "Written") -> "Bundle":
        """What is left of it when model and weights are let go."""
        parity = () if written.parity is None else (str(written.parity),)
        notes = (*parity, *written.prepared.lines)
        return cls(written.folder, written.form, written.size_bytes, written.times_smaller, notes, written.to_dict())

    def __fspath__(self) -> str:
        return str(self.folder)

    def to_dict(self) -> dict[str, Any]:
        """What `paredown convert --json` prints."""
        return dict(self.figures)


@names_arguments
def convert(
    model: str | Path,
    folder: str | Path,
    *,
    bits: int | None = None,
    configuration: "Configuration | str | Path | None" = None,
    kernel: "Kernel | None" = None,
    method: "Method | None" = None,
    activations: "Activations | None" = None,
    granularity: "Granularity | None" = None,
    beam_size: int | None = None,
    ctc_weight: float | None = None,
    data: str | None = None,
    train: str | None = None,
    form: "Form" = "bundle",
    force: bool = False,
    tell: Tell | None = None,
) -> Bundle:
    """Write one bundle of a model, without a search.

    `bits`: of every layer, 2 to 8, or 32 for none quantized (the default); or a `configuration`, as a value (`Point.configuration`) or as a
    file; everything else changes it, and is described at `paredown convert --help`. `data`: what calibration (method "gptq", static
    activations) and the check for activation outliers hear; `train`: what a configuration that trains is trained on.
    Raises BadInput for settings that contradict each other or the model, and as `Study.export`.
    """
    from paredown.data import open_data
    from paredown.errors import BadInput
    from paredown.models import load_model
    from paredown.trials.conversion import Wish, own_data, read_configuration, wished
    from paredown.trials.exporting import convert_model
    from paredown.trials.preparing import check_use

    whole = load_model(str(model))
    fixed = None if configuration is None else "the configuration says what computes each layer"
    given = read_configuration(Path(configuration)) if isinstance(configuration, str | Path) else configuration
    wish = Wish(bits, given, kernel, method, activations, granularity, beam_size, ctc_weight)
    made = wished(whole, wish, form != "espnet")
    if train is not None and not made.trainings:
        raise BadInput(f"train is data for a configuration that trains, got {train} for one that does not")
    if data is not None:
        check_use(whole, made, data)
    heard = data or own_data(str(model))
    split = None if heard is None else open_data(heard)
    with script_hidden():
        training = _training(train)
        return Bundle.of(
            convert_model(whole, made, Path(folder), form, split=split, fixed=fixed, training=training, force=force, tell=teller(tell))
        )


def _training(train: str | None) -> "TrainingData | None":
    from paredown.data import load_split
    from paredown.recover.training_data import TrainingData

    return None if train is None else TrainingData(load_split(train, labelled=False), None)


@names_arguments
def translate(bundle: str | Path | Bundle, *audio: str | Path, threads: int = 1, nbest: int = 1) -> "list[Translation]":
    """What is said in each file. Loads the bundle for this one call; a program that translates often keeps a `paredown.Translator`.

    `threads`: of onnxruntime; `nbest`: hypotheses to keep, the further ones in `alternatives`.
    Raises BadInput for a folder that is no bundle and audio that cannot be translated.
    """
    from paredown.runtime import Translator

    translator = Translator.from_bundle(bundle.folder if isinstance(bundle, Bundle) else bundle, threads=threads)
    return [translator.translate(file, nbest=nbest) for file in audio]
