"""What must be equal on all nodes, so that a trial gives the same wherever it runs: versions, and how int8 products are computed."""

from collections.abc import Callable
from dataclasses import dataclass

from paredown.errors import BadInput

INT8 = "int8 products"  # only where something is decoded: a target may have its own kernels, its latency is what is asked for


@dataclass(frozen=True)
class Facts:
    """One machine: its name, (fact, value) pairs, and the instruction sets that decide which int8 kernel runs."""

    host: str
    found: tuple[tuple[str, str], ...]
    instructions: tuple[str, ...] = ()

    def check(self, expected: "Facts", *, decoding: bool) -> None:
        """Raises BadInput, naming both machines and values, where a fact differs. `decoding`: hypotheses come from this machine."""
        wanted = dict(expected.found)
        for name, value in self.found:
            if wanted.get(name) != value and (decoding or name != INT8):
                raise BadInput(
                    f"all nodes of a cluster must have the same {name}: {self.host} has {value}, {expected.host} {wanted.get(name)}"
                    + ("; start one of them with --num-cpus=0, so that it decodes nothing" if name == INT8 else "")
                )


def fact_reader() -> Callable[[], Facts | tuple[str, str]]:
    """A function that reads them, or (host, why it cannot). It is defined here so that Ray sends its code: a node may lack paredown."""

    def read() -> "Facts | tuple[str, str]":
        """Runs on the node."""
        import contextlib
        import platform
        from importlib import metadata

        try:
            from paredown.cluster.facts import INT8, Facts
            from paredown.profilers.fingerprint import read_fingerprint
        except ImportError as error:
            return platform.node(), str(error)
        here = read_fingerprint(1)
        versions = {"Python": platform.python_version()}
        for package, names in (("paredown", ("paredown",)), ("NumPy", ("numpy",)), ("onnxruntime", ("onnxruntime", "onnxruntime-gpu"))):
            for name in names:
                with contextlib.suppress(metadata.PackageNotFoundError):
                    versions.setdefault(package, metadata.version(name))
            versions.setdefault(package, "none")
        x86 = here.architecture.lower() in ("x86_64", "amd64")
        saturates = x86 and not {"avx512_vnni", "avx_vnni", "amx_int8"} & set(here.instructions)
        versions[INT8] = "that saturate (x86 without VNNI)" if saturates else "that do not saturate"
        return Facts(platform.node(), tuple(versions.items()), here.instructions)

    return read
