"""Bundles: ONNX graphs without weights, packed weights, manifest; how they are written, and the parity check for before that."""

from paredown.bundle.parity.gate import ParityError, ParityReport, check_parity
from paredown.bundle.write import write_bundle

__all__ = ["ParityError", "ParityReport", "check_parity", "write_bundle"]
