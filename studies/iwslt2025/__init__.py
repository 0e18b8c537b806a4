"""The tables of "Efficient Speech Translation through Model Compression and Knowledge Distillation", made again on a small model."""
