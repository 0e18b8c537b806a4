"""paredown: hardware-aware compression search for ESPnet speech models.

    study = paredown.run("studies/quickstart.toml", time="5 min")
    trial = study.pick("smallest", budgets={"quality": -1.0})
    bundle = study.export(trial, "small")
    print(paredown.Translator.from_bundle(bundle.folder).translate("speech.wav").text)

The names below are imported when they are first used, so that `import paredown` loads nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paredown.api.analysing import analyse as analyse
    from paredown.api.bundles import Bundle as Bundle
    from paredown.api.bundles import convert as convert
    from paredown.api.bundles import translate as translate
    from paredown.api.measuring import compare as compare
    from paredown.api.measuring import evaluate as evaluate
    from paredown.api.measuring import profile as profile
    from paredown.api.point import Point as Point
    from paredown.api.running import run as run
    from paredown.api.study import Study as Study
    from paredown.errors import BadInput as BadInput
    from paredown.runtime import Translation as Translation
    from paredown.runtime import Translator as Translator

__version__ = "0.1.0"

_HOMES = {
    "BadInput": "paredown.errors",
    "Bundle": "paredown.api.bundles",
    "Point": "paredown.api.point",
    "Study": "paredown.api.study",
    "Translation": "paredown.runtime",
    "Translator": "paredown.runtime",
    "analyse": "paredown.api.analysing",
    "compare": "paredown.api.measuring",
    "convert": "paredown.api.bundles",
    "evaluate": "paredown.api.measuring",
    "profile": "paredown.api.measuring",
    "run": "paredown.api.running",
    "translate": "paredown.api.bundles",
}


def __getattr__(name: str) -> object:
    """The name from its module, imported now (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'paredown' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
