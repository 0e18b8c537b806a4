"""The latency predictor of one target: probes, their stages timed, the costs that fit them, and the cache of all that."""
