"""Axis `heads`: share of the attention heads that go, those the model needs least first."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from paredown.space.axes.base import Axis
from paredown.space.axes.layers import is_kept
from paredown.space.axes.share import share_knob
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory
from paredown.space.knobs import Knob

ATTENTIONS = ("encoder.self_attn", "decoder.self_attn", "decoder.cross_attn")


class HeadsAxis(Axis):
    """Knob `heads.share` in [0, highest]: the share of all heads of the listed groups, in the blocks that are kept, that go.

    `divergences`: by the path of an attention, how much worse the model is without each of its heads (see `analysis/heads.py`); heads
    with the least go first (of equal ones in network order), but every attention keeps one, so that no more than that go.
    """

    name: ClassVar[str] = "heads"
    stage: ClassVar[int] = 1

    def __init__(
        self,
        inventory: Inventory,
        divergences: Mapping[str, Sequence[float]],
        highest: float,
        groups: Sequence[str] = ATTENTIONS,
    ) -> None:
        for group in groups:
            if group not in ATTENTIONS:
                raise ValueError(f"heads belong to a group of attentions, one of {', '.join(ATTENTIONS)}; got {group!r}")
        own = [(path, count) for path, count in inventory.heads if inventory.by_path[f"{path}.linear_out"].group in groups]
        if not own:
            raise ValueError(f"axis heads needs attentions of {', '.join(groups)} in the model, got none")
        for path, count in own:
            if len(divergences.get(path, ())) != count:
                raise ValueError(f"every head needs a divergence, got {len(divergences.get(path, ()))} for the {count} of {path}")
        self.divergences = {path: tuple(map(float, divergences[path])) for path, _ in own}
        self._knob = share_knob(f"{self.name}.share", "share of heads", highest)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        return (self._knob,)

    def resolve(self, values: Mapping[str, float | int], configuration: Configuration) -> Configuration:
        """The configuration with these heads gone; an attention that keeps all is not named, so all heads have one digest."""
        left = {path: set(range(len(found))) for path, found in self.divergences.items() if is_kept(path, configuration)}
        count = round(values[self._knob.name] * sum(map(len, left.values())))
        ranked = [(value, path, head) for path in left for head, value in enumerate(self.divergences[path])]
        for _, path, head in sorted(ranked, key=lambda entry: entry[0]):  # a stable sort: equal ones stay in network order
            if count and len(left[path]) > 1:
                left[path].remove(head)
                count -= 1
        heads = {path: kept for path, kept in configuration.heads if path not in self.divergences and is_kept(path, configuration)}
        heads |= {path: tuple(sorted(kept)) for path, kept in left.items() if len(kept) < len(self.divergences[path])}
        return replace(configuration, heads=tuple(heads.items()))

    def lowest(self) -> dict[str, float | int]:
        return {self._knob.name: self._knob.high}

    def describe(self) -> dict[str, Any]:
        """The range, and a digest of the divergences with their paths."""
        digest = hashlib.sha256(json.dumps(self.divergences).encode()).hexdigest()
        return super().describe() | {f"{self.name}.divergences": digest}
