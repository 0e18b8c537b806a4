"""MatMulNBits as an ONNX function, so that the session chooses what becomes of its activations on a CPU.

With `accuracy_level` 4 the CPU's operator quantizes each block of a row to int8 (3 to 13 % of utterances then have other tokens than with
float32 activations, and no two kinds of machine have the same); with 0 it keeps float32, as a GPU does in any case, and takes twice as
long at 4 bits and 30 times as long at 8. An attribute cannot be chosen when a graph is loaded. So the function holds the operator twice,
under a condition that is one constant of the graph, and the session gives its value (`paredown.runtime.session`): onnxruntime inlines the
function and drops the other branch when it loads the graph.
"""

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

DOMAIN = "paredown"
_MICROSOFT = "com.microsoft"
_INT8_ACTIVATIONS, _FLOAT_ACTIVATIONS = 4, 0


@dataclass(frozen=True)
class BlockedProduct:
    """A product with `channels` outputs of `units` inputs in codes of `bits` bits, a scale for every `block` of them."""

    units: int
    channels: int
    bits: int
    block: int
    bias: bool

    @property
    def name(self) -> str:
        """The function's: one for all products of these sizes."""
        return f"Product{self.units}x{self.channels}x{self.bits}of{self.block}{'' if self.bias else 'NoBias'}"

    @property
    def inputs(self) -> list[str]:
        """The function's: the activations, the weights, and whether activations are rounded (a bool)."""
        return ["x", "codes", "scales", *(["bias"] if self.bias else []), "rounding"]

    def to_function(self, opset: int) -> onnx.FunctionProto:
        """x [..., units] -> [..., channels]. The zero point is the operator's default, 2^(bits - 1)."""
        branches = {"then_branch": self._branch(_INT8_ACTIVATIONS), "else_branch": self._branch(_FLOAT_ACTIVATIONS)}
        choice = helper.make_node("If", ["rounding"], ["y"], **branches)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_function(DOMAIN, self.name, self.inputs, ["y"], [choice], opsets)

    def _branch(self, accuracy_level: int) -> onnx.GraphProto:
        sizes = {"K": self.units, "N": self.channels, "bits": self.bits, "block_size": self.block}
        inputs = ["x", "codes", "scales"] + (["", "", "bias"] if self.bias else [])
        node = helper.make_node("MatMulNBits", inputs, ["done"], domain=_MICROSOFT, accuracy_level=accuracy_level, **sizes)
        return helper.make_graph([node], f"level{accuracy_level}", [], [helper.make_tensor_value_info("done", TensorProto.FLOAT, None)])
