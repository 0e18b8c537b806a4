"""Bundles: ONNX graphs without weights, packed weights, manifest; written in one step after a parity check."""

from paredown.bundle.parity import ParityError, ParityReport, check_parity
from paredown.bundle.write import write_bundle

__all__ = ["ParityError", "ParityReport", "check_parity", "write_bundle"]
