"""What a command line names as BUNDLE|MODEL, as a bundle."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paredown.errors import BadInput


@contextmanager
def opened(subject: str) -> Iterator[Path]:
    """The bundle that the user names; a model is written as an uncompressed fp32 bundle into a temporary folder first."""
    folder = Path(subject)
    if (folder / "manifest.json").is_file():
        yield folder
        return
    if not (folder / "config.yaml").is_file() and not subject.startswith("bundled:"):
        raise BadInput(f"a bundle has a manifest.json and a model a config.yaml; {subject} has neither")
    from paredown.models import load_model
    from paredown.trials.evaluation import uncompressed
    from paredown.trials.workshop import Workshop

    with Workshop(load_model(subject)) as workshop:
        yield workshop.build(uncompressed(workshop.model))
