"""ESPnet checkpoints as models: load them, name their layers and groups."""
