"""What a trial is made of: a bundle built from a configuration, its hypotheses and scores, its latency, its size."""
