"""What a user names, a bundle or a model, as a bundle."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paredown.data import PREFIX
from paredown.errors import BadInput


@contextmanager
def opened(subject: str) -> Iterator[Path]:
    """The bundle that the user names; a model is written as an uncompressed fp32 bundle into a temporary folder first."""
    folder = Path(subject)
    if (folder / "manifest.json").is_file():
        yield folder
        return
    _check_model(subject)
    from paredown.models import load_model
    from paredown.trials.evaluation import uncompressed
    from paredown.trials.workshop import Workshop

    with Workshop(load_model(subject)) as workshop:
        yield workshop.build(uncompressed(workshop.model))


def _check_model(subject: str) -> None:
    """Raises BadInput for what is neither a bundle nor a model, before anything heavy is imported."""
    folder = Path(subject)
    if subject.startswith(PREFIX) or (folder / "config.yaml").is_file() or (folder.suffix == ".pth" and folder.is_file()):
        return
    if not folder.exists():
        from paredown.models.hub import is_hub_tag

        if is_hub_tag(subject):
            return
    raise BadInput(f"a bundle has a manifest.json and a model a config.yaml; {subject} has neither")
