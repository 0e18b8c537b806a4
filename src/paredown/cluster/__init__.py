"""Evaluations in a Ray cluster (extra `[ray]`): quality anywhere, profiling alone on the node that carries the target."""

from paredown.cluster.cluster import Cluster
from paredown.cluster.connection import connect
from paredown.cluster.decoder import RayDecoder
from paredown.cluster.stopwatch import RayStopwatch

__all__ = ["Cluster", "RayDecoder", "RayStopwatch", "connect"]
