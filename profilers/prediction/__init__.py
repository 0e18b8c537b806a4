"""Prediction of latencies from the costs of operations, and the report of its error."""
