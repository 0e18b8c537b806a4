"""`paredown doctor`: what this machine can run and measure, and how to enable what is missing."""

import argparse
import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paredown.commands.printing import add_json, console, print_json, table

ESPNET = "pip install --no-deps espnet==202511"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `advice` is empty where nothing is missing."""

    subject: str
    state: str
    advice: str = ""


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("doctor", help="what this machine can measure and run, and how to enable what is missing")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    findings = [*_libraries(), _int8(), _governor(), _counters()]
    if options.json:
        print_json({finding.subject: {"state": finding.state, "advice": finding.advice} for finding in findings})
        return 0
    result = table("paredown doctor", ("subject", "state", "to enable"), ((f.subject, f.state, f.advice) for f in findings))
    for column in result.columns:
        column.justify = "left"
    console().print(result)
    return 0


def _libraries() -> list[Finding]:
    def version(name: str) -> str:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return "missing"

    rows = [Finding("onnxruntime", version("onnxruntime"))]
    torch = version("torch")
    rows.append(Finding("torch (to load and search models)", torch, "pip install 'paredown[models]'" if torch == "missing" else ""))
    espnet = version("espnet")
    rows.append(Finding("espnet (to load and search models)", espnet, ESPNET if espnet == "missing" else ""))
    import onnxruntime

    rows.append(
        Finding("execution providers", ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()))
    )
    return rows


def _int8() -> Finding:
    from paredown.profilers.fingerprint import read_fingerprint

    machine = read_fingerprint(threads=1)
    flags = ", ".join(machine.instructions) or "none known"
    arm = "asimddp" in machine.instructions
    vnni = arm or any("vnni" in flag or flag.startswith("amx_int8") for flag in machine.instructions)
    advice = "" if vnni else "none: without VNNI int8 products saturate and are slower; quality figures carry the instruction set"
    return Finding("processor", f"{machine.cpu}, {machine.cores} cores; {flags}", advice)


def _governor() -> Finding:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if not path.exists():
        return Finding("frequency governor", "not readable (virtual machine or container?)")
    governor = path.read_text().strip()
    return Finding("frequency governor", governor, "" if governor == "performance" else "sudo cpupower frequency-set -g performance")


def _counters() -> Finding:
    """RAPL is only looked for here: energy is no objective yet."""
    counters = sorted(Path("/sys/class/powercap").glob("*rapl*/energy_uj"))
    if not counters:
        return Finding("energy counters (RAPL)", "none", "energy cannot be measured here; as an objective it is not supported yet")
    readable = os.access(counters[0], os.R_OK)
    advice = "" if readable else f"sudo chmod a+r {counters[0].parent.parent}/*rapl*/energy_uj"
    return Finding("energy counters (RAPL)", "readable" if readable else "root only", advice)
