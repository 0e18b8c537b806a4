"""The libraries that run bundles, and those that load, compress and search models."""

import importlib.metadata
import platform
from collections.abc import Iterator

from paredown.doctor.finding import Finding

SECTION = "software"
ESPNET = "pip install --no-deps espnet==202511"
RECOVER = "pip install 'paredown[recover]'"
# What for, distribution, and the command that installs it.
WANTED = (
    ("load and search models", "torch", "pip install 'paredown[models]'"),
    ("load and search models", "espnet", ESPNET),
    ("train adapters (lora, qlora)", "peft", RECOVER),
    ("train adapters beside NF4 (qlora)", "bitsandbytes", RECOVER),
)


def look_at_software() -> Iterator[Finding]:
    """Python and onnxruntime, then what checkpoints and adapters need."""
    yield Finding(SECTION, "run bundles", "ok", f"onnxruntime {_version('onnxruntime') or _version('onnxruntime-gpu')}", _python())
    for purpose, name, command in WANTED:
        version = _version(name)
        subject, evidence = f"{purpose}: {name}", "installed packages"
        if version:
            yield Finding(SECTION, subject, "ok", f"{name} {version}", evidence)
        else:
            yield Finding(SECTION, subject, "missing", f"no {name}", evidence, command)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
