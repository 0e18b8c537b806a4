"""The gate in front of every bundle: its graphs compute what torch does."""

from paredown.bundle.parity.gate import ParityError, ParityReport, check_parity

__all__ = ["ParityError", "ParityReport", "check_parity"]
