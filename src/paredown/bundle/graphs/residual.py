"""The residual stream through a stack of blocks: a branch is added where the next normalization reads the sum."""

from dataclasses import dataclass

from paredown.bundle.graphs.graph import GraphBuilder


@dataclass
class Residual:
    """The stream `x` and a branch that the next normalization adds to it. `before`: normalize a sub-layer's input (else the sum behind it).

    Every ESPnet stack ends in a normalization, so `x` is complete behind the last one.
    """

    builder: GraphBuilder
    x: str
    before: bool
    branch: str | None = None

    def enter(self, path: str) -> str:
        """The input of a sub-layer whose normalization is `path`."""
        return self._normed(path) if self.before else self.x

    def leave(self, branch: str, path: str) -> None:
        """Take a sub-layer's output into the stream."""
        self.branch = branch
        if not self.before:
            self.normalize(path)

    def normalize(self, path: str) -> None:
        """Normalize the stream itself (`norm_final`, `after_norm`)."""
        self.x = self._normed(path)

    def _normed(self, path: str) -> str:
        if self.branch is None:
            return self.builder.layer_norm(self.x, path)
        normed, self.x = self.builder.skip_layer_norm(self.x, self.branch, path)
        self.branch = None
        return normed
