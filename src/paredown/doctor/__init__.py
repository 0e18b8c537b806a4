"""What this machine can run and measure, each answer with its evidence and, where something is missing, the command that enables it."""

from paredown.doctor.accelerator import look_at_accelerator
from paredown.doctor.energy import look_at_energy
from paredown.doctor.finding import Finding
from paredown.doctor.processor import look_at_processor
from paredown.doctor.quiet import look_at_quiet
from paredown.doctor.software import look_at_software

__all__ = ["Finding", "examine"]


def examine() -> tuple[Finding, ...]:
    """Everything there is to say about this machine, in the order in which it is read."""
    return (*look_at_software(), *look_at_processor(), *look_at_quiet(), *look_at_accelerator(), *look_at_energy())
