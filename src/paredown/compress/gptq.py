"""GPTQ (Frantar et al. 2022, arXiv 2210.17323): codes that make up for each other's rounding errors.

Rounding to the nearest minimizes |W - Q|. What a layer passes on is W x, so GPTQ minimizes the mean of |(W - Q) x|^2 over the inputs x
that the layer sees, tr((W - Q) H (W - Q)') with H their second moment. It rounds one column after the other and takes each error
out of the columns that are still to come; with U the upper Cholesky factor of H^-1 (= U'U), column j is

    e_j = (w_j - q_j) / U_jj        w_k -= e_j U_jk  for k > j        and the error of a row comes to the sum of its e_j^2

H is one of the uncompressed model, for every layer on its own ("one-shot"): so a layer's codes depend on its bit-width alone, and a search
may mix widths layer by layer without doing anything twice. (The paper feeds every block with what the quantized blocks in front of it
give; then each configuration would have codes of its own.)

Codes and scales are those of `quantize`: symmetric, one scale a channel or a tensor, the same bytes, the same kernels. Beyond the paper,
because it costs nothing at run time: rows are independent of each other, so every channel may try several scales below the one that
reaches its largest weight (its clips), each with codes of its own, and keeps the best; then codes and scales are improved in turn, the
codes one coordinate at a time (QuantEase, arXiv 2309.01885), the scale by its least squares. Every step lowers the same error. On the
search split of the bundled model the divergence of the decoder's posteriors, in nats (nearest codes, the paper's GPTQ, all of this):

    2 bits 4.8, 2.7, 0.38        3 bits 0.18, 0.088, 0.045        4 bits 0.022, 0.013, 0.0094        8 bits 6e-5, 4e-5, 4e-5

Libraries (gptqmodel, auto-round, llm-compressor, torchao) take transformers models and write formats of their own with grouped
scales and zero points; none gives symmetric codes with one scale a channel for a matrix and a moment. So this is ours, in NumPy.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from paredown.compress.quantize import quantize
from paredown.compress.tensors import Array, Quantized

Doubles = NDArray[np.float64]
_BLOCK = 128  # columns between two products that carry errors to the rest


@dataclass(frozen=True)
class Effort:
    """How much is tried. The defaults were chosen on the search split, and on its sentences spoken anew.

    `damping`: share of H's mean diagonal that is added to its diagonal, against overfitting and for what no input showed.

    `clips`: how many scales a channel (or tensor) tries, from the one that reaches its largest weight down to `_least_clip` of it.
    `sweeps`: how often codes and scales are then improved in turn. On one core 11M weights take 17 s, 46M weights 90 s.
    """

    damping: float = 0.02
    clips: int = 12
    sweeps: int = 4


PAPER = Effort(damping=0.01, clips=1, sweeps=0)


def quantize_calibrated(
    weight: Array,
    bits: int,
    moment: NDArray[np.floating] | None,
    granularity: Literal["channel", "tensor"] = "channel",
    mask: NDArray[np.bool_] | None = None,
    effort: Effort | None = None,
) -> Quantized:
    """Codes of a weight [channels, ...] that change its outputs least; never worse than `quantize`, by the damped moment.

    `moment` [in, in]: the second moment of the inputs, `in` counting what a channel has of weights, in their order; None where inputs tell
    nothing (then all weights count alike, and only the scales are searched). A pruned weight (mask False) has code 0, and the
    others make up for it as for any other error. Raises ValueError as `quantize` does, and for a moment that does not fit.
    """
    nearest = quantize(weight, bits, granularity, mask)
    with threadpool_limits(1, user_api="blas"):  # threads would wait for each other at thousands of small products, and round differently
        return _calibrated(weight, nearest, moment, effort or Effort())


def _calibrated(weight: Array, nearest: Quantized, moment: NDArray[np.floating] | None, effort: Effort) -> Quantized:
    bits, mask = nearest.bits, nearest.mask
    columns = np.asarray(weight, np.float64).reshape(len(weight), -1).T
    hessian = _damped(moment, len(columns), effort.damping)
    order = np.argsort(-np.diag(hessian), kind="stable")  # what matters most is rounded first, when all others can still make up for it
    kept = None if mask is None else mask.reshape(len(weight), -1).T[order]
    task = _Task(columns[order], hessian[np.ix_(order, order)], 2 ** (bits - 1) - 1, kept)
    codes, scales = _try_clips(task, nearest.scales, np.linspace(1.0, _least_clip(bits), effort.clips))
    for _ in range(effort.sweeps):
        scales = _fit_scales(task, codes, scales)
        codes = _improve_codes(task, codes, scales)
    codes, scales = _best(task, (nearest.codes.reshape(len(weight), -1).T[order], nearest.scales), (codes, scales))
    placed = np.empty_like(codes)
    placed[order] = codes
    return replace(nearest, codes=np.ascontiguousarray(placed.T).reshape(weight.shape), scales=scales)


@dataclass(frozen=True, eq=False)
class _Task:
    """Weights [in, channels], transposed because work goes column by column; H [in, in]; the largest code; which weights survive."""

    columns: Doubles
    hessian: Doubles
    top: int
    kept: NDArray[np.bool_] | None

    def round(self, column: Doubles, scales: Doubles, index: int) -> Doubles:
        """The nearest codes of column `index` [..., channels]."""
        codes: Doubles = np.clip(np.rint(column / scales), -self.top, self.top)
        return codes if self.kept is None else codes * self.kept[index]

    def errors(self, codes: NDArray[np.int8], scales: Array) -> Doubles:
        """The error of every channel; of the whole tensor, if it has one scale."""
        rest = self.columns - codes * scales.astype(np.float64)
        errors: Doubles = np.einsum("ij,ij->j", rest, self.hessian @ rest)
        return errors if len(scales) > 1 else errors.sum(keepdims=True)


def _least_clip(bits: int) -> float:
    """The fewer codes there are, the more it pays to cut off the largest weights for finer steps."""
    return {2: 0.35, 3: 0.45, 4: 0.55, 5: 0.65, 6: 0.75}.get(bits, 0.85)


def _damped(moment: NDArray[np.floating] | None, size: int, damping: float) -> Doubles:
    if moment is None:
        return np.eye(size)
    if moment.shape != (size, size):
        raise ValueError(f"a moment must be [{size}, {size}] for {size} weights a channel, got {list(moment.shape)}")
    hessian = moment.astype(np.float64)
    mean = float(np.trace(hessian)) / size
    if not np.isfinite(hessian).all() or mean < 0:
        raise ValueError(f"a moment must be finite and its diagonal not negative, got a mean diagonal of {mean}")
    hessian[np.diag_indices(size)] += damping * mean if mean > 0 else 1.0
    return hessian


def _inverse_factor(hessian: Doubles) -> Doubles:
    """U, upper triangular, with U'U = H^-1: of H read backwards = LL' it is L^-1 read backwards."""
    lower, failed = lapack.dpotrf(hessian[::-1, ::-1], lower=1)
    if failed:
        raise ValueError("a moment must be positive definite once it is damped")
    inverse, _ = lapack.dtrtri(lower, lower=1)
    return np.ascontiguousarray(np.tril(inverse)[::-1, ::-1])


def _try_clips(task: _Task, largest: Array, clips: Doubles) -> tuple[NDArray[np.int8], Array]:
    """GPTQ with every clip of the scales `largest` [channels] or [1]; codes [in, channels] and scales of the best clip of each."""
    scales = (largest * clips[:, None]).astype(np.float32)  # [clips, channels] or [clips, 1]
    codes, errors = _round_in_turn(task, scales.astype(np.float64))
    if scales.shape[1] == 1:
        errors = errors.sum(axis=1, keepdims=True)
    best = errors.argmin(axis=0)
    chosen = np.take_along_axis(codes, np.broadcast_to(best, codes.shape[2])[None, None], axis=1)[:, 0]
    return chosen, np.take_along_axis(scales, best[None], axis=0)[0]


def _round_in_turn(task: _Task, scales: Doubles) -> tuple[NDArray[np.int8], Doubles]:
    """GPTQ itself, for all clips at once: scales [clips, ...] -> codes [in, clips, channels] and errors [clips, channels]."""
    factor = _inverse_factor(task.hessian)
    size, channels = task.columns.shape
    columns = np.repeat(task.columns[:, None], len(scales), axis=1)
    codes, errors = np.empty(columns.shape, np.int8), np.zeros((len(scales), channels))
    for begin in range(0, size, _BLOCK):
        end = min(size, begin + _BLOCK)
        carried = np.empty((end - begin, len(scales), channels))
        for index in range(begin, end):
            rounded = task.round(columns[index], scales, index)
            codes[index] = rounded
            error = (columns[index] - rounded * scales) / factor[index, index]
            errors += error * error
            carried[index - begin] = error
            columns[index + 1 : end] -= factor[index, index + 1 : end, None, None] * error
        columns[end:] -= np.tensordot(factor[begin:end, end:], carried, axes=(0, 0))
    return codes, errors


def _fit_scales(task: _Task, codes: NDArray[np.int8], scales: Array) -> Array:
    """The least-squares scale w'Hq / q'Hq of every channel or of the tensor; as it was where all codes are 0."""
    numbers = codes.astype(np.float64)
    weighed = task.hessian @ numbers
    above, below = np.einsum("ij,ij->j", task.columns, weighed), np.einsum("ij,ij->j", numbers, weighed)
    if len(scales) == 1:
        above, below = above.sum(keepdims=True), below.sum(keepdims=True)
    fits = (above > 0) & (below > 0)
    fitted = np.divide(above, below, out=np.ones_like(above), where=fits).astype(np.float32)
    return np.where(fits & (fitted > 0), fitted, scales)


def _improve_codes(task: _Task, codes: NDArray[np.int8], scales: Array) -> NDArray[np.int8]:
    """Every code in turn to the best one while all others stay: the nearest of w + (H's part of the other errors) / H_jj."""
    steps, hessian, improved = scales.astype(np.float64), task.hessian, codes.astype(np.float64)
    pull = hessian @ (task.columns - improved * steps)
    for begin in range(0, len(hessian), _BLOCK):
        end = min(len(hessian), begin + _BLOCK)
        within, changes = pull[begin:end].copy(), np.empty((end - begin, codes.shape[1]))
        for index in range(begin, end):
            wanted = improved[index] * steps + within[index - begin] / hessian[index, index]
            rounded = task.round(wanted, steps, index)
            change = (rounded - improved[index]) * steps
            improved[index], changes[index - begin] = rounded, change
            within -= hessian[begin:end, index, None] * change
        pull -= hessian[:, begin:end] @ changes
    return improved.astype(np.int8)


def _best(task: _Task, first: tuple[NDArray[np.int8], Array], second: tuple[NDArray[np.int8], Array]) -> tuple[NDArray[np.int8], Array]:
    """Of two results, for each channel (or the tensor) the one with the smaller error."""
    better = task.errors(*second) < task.errors(*first)
    return np.where(better, second[0], first[0]), np.where(better, second[1], first[1])
