"""paredown: hardware-aware compression search for ESPnet speech models."""

__version__ = "0.1.0"
