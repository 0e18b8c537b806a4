"""Thermal design power by processor model, from a table, and how many cores share it.

`tdp.csv` is cut from CodeCarbon's `cpu_power.csv` (its version, licence and what was left out stand in the file's head). A model is
found by its whole name after both sides are brought to one spelling; a name that is only similar is another processor.
"""

import csv
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

TABLE = "CodeCarbon's cpu_power.csv"


@dataclass(frozen=True)
class Processor:
    """What /proc/cpuinfo tells. `cores`: physical cores of all `sockets`, 0 where the file does not say; `virtual`: a hypervisor is
    beneath, so that cores are those of the virtual machine and not of the package."""

    model: str
    sockets: int
    cores: int
    virtual: bool


def read_processor(root: Path = Path("/")) -> Processor:
    """The processor of this machine; an empty model where /proc/cpuinfo does not tell (or is not there)."""
    try:
        text = (root / "proc/cpuinfo").read_text()
    except OSError:
        text = ""
    model, virtual = "", False
    places: set[tuple[str, str]] = set()
    for block in text.split("\n\n"):
        fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}
        model = model or fields.get("model name", "")
        virtual |= "hypervisor" in fields.get("flags", "").split()
        if "physical id" in fields and "core id" in fields:
            places.add((fields["physical id"], fields["core id"]))
    return Processor(model, len({socket for socket, _ in places}), len(places), virtual)


def find_tdp_w(model: str) -> float | None:
    """Watts of one package of that model; None when the table does not know it."""
    return _table().get(spell(model))


def spell(model: str) -> str:
    """One spelling for a model's name: "Intel(R) Core(TM) i7-8565U CPU @ 1.80GHz" -> "intel core i7-8565u"."""
    name = re.sub(r"\((r|tm)\)|®|™", " ", model.lower())
    name = re.sub(r"@.*|\b(with|w/) radeon.*", " ", name)
    name = re.sub(r"\b\d+(st|nd|rd|th) gen\b|\b\d+-cores?\b|\b(cpu|processor|apu|x-series)\b", " ", name)
    return " ".join(name.split())


def _table() -> dict[str, float]:
    lines = resources.files("paredown.profilers.energy").joinpath("tdp.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {row["model"]: float(row["tdp_w"]) for row in rows}
