"""COMET, a learned metric of translation: the package `unbabel-comet` and a model of its hub, both optional.

The package asks for an older NumPy than ours but runs with this one, so it goes in without its own requirements. Its model is about 2 GB;
nothing of it is imported before it is asked for.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from paredown.errors import BadInput
from paredown.quality.resampling import RESAMPLES, drawn, percentile_interval
from paredown.quality.scores import Score

MODEL = "Unbabel/wmt20-comet-da"
BATCH = 8
INSTALL = "pip install 'paredown[comet]', then pip install --no-deps unbabel-comet==2.2.7"


def comet_score(
    sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str], *, model: str = MODEL, seed: int = 0
) -> Score:
    """The mean over utterances, times 100 (as the IWSLT 2025 paper prints it), with a bootstrap interval; higher is better.

    `sources`: what was said, [utterances]; `hypotheses` and `references`: its translations. Raises BadInput where the package or the
    model is not there, ValueError where the lengths differ.
    """
    if not len(sources) == len(hypotheses) == len(references) > 0:
        raise ValueError(f"lengths must be equal and above 0, got {len(sources)}, {len(hypotheses)} and {len(references)}")
    scorer = load_comet(model)
    rows = [{"src": s, "mt": h, "ref": r} for s, h, r in zip(sources, hypotheses, references, strict=True)]
    found = 100 * np.array(scorer.predict(rows, batch_size=BATCH, gpus=0, progress_bar=False).scores, dtype=np.float64)
    draws = drawn(len(found), seed, RESAMPLES).astype(np.float64) @ found / len(found)
    return Score("comet", float(found.mean()), percentile_interval(draws), len(found), f"nrefs:1|model:{model}|version:{_version()}")


def load_comet(model: str = MODEL) -> Any:
    """The package's model, taken from its cache or the hub. Raises BadInput where the package or the model is not there."""
    try:
        comet = import_module("comet")
    except ImportError as error:
        raise BadInput(f"COMET needs the package unbabel-comet ({error}): {INSTALL}") from None
    try:
        return comet.load_from_checkpoint(comet.download_model(model))
    except Exception as error:  # the hub's errors are of many kinds: no network, no such model, no room, a login that is missing
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadInput(f"COMET needs the model {model}, which could not be loaded: {reason}") from None


def _version() -> str:
    try:
        return version("unbabel-comet")
    except PackageNotFoundError:
        return "unknown"
