"""What an utterance's latency depends on, by stage: how much of everything its operations do.

A product of a kernel is a call, its multiply-accumulates, the numbers it reads and writes, and its weights, which are read at every call;
attention, convolutions and normalizations likewise. A step of the search has a cost of its own in Python, a hypothesis and a candidate
another. Everything grows with layers, widths, frames, tokens and beam, so that predictions do too.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from paredown.space.macs import Step, Units, Workload
from paredown.space.operations import Operation, Structure

Terms = dict[str, dict[str, float]]  # of every stage the amount of every term
# The runtime throws out dead nodes now and then, which ones depends on the audio. Beams of trained and of random models shared all but
# about two tokens a hypothesis when it did, and three steps' nodes come on top before it does again: half of that on the average.
_APART_TOKENS, _BETWEEN_SWEEPS = 2, 1.5
# Spectra of long audio outgrow what the allocator keeps and the caches hold: from somewhere on (450 frames on the machine this was found
# on) a further frame costs several times as much. A cost that rises at these numbers of frames follows wherever that is.
_FEATURE_RISES = (200, 400)  # both below the longest probe


def expected_steps(tokens: int, beam: int) -> tuple[Step, ...]:
    """The steps of a search of exactly `tokens` steps with about as many nodes as the pool of the runtime has."""
    most = Workload.fixed(1, tokens, beam).steps
    shared = (index + round(_APART_TOKENS * (beam - 1) + _BETWEEN_SWEEPS * beam) for index in range(tokens))
    return tuple(Step(step.hypotheses, min(step.nodes, nodes)) for step, nodes in zip(most, shared, strict=True))


def list_terms(operations: Iterable[Operation], structure: Structure, frames: int, tokens: int, beam: int) -> Terms:
    """The terms of one utterance, by stage: "features", "encoder" (the CTC's graph with it) and "search"."""
    operations = tuple(operations)
    workload = Workload(frames, expected_steps(tokens, beam))
    units = Units.of(operations, structure, workload)
    found: dict[str, defaultdict[str, float]] = {stage: defaultdict(float) for stage in ("features", "encoder", "search")}
    for operation in operations:
        stage = found["search" if operation.is_step else "encoder"]
        for term, amount in _terms_of(operation, units.count(operation), units.calls(operation)).items():
            stage[term] += amount
    found["features"] |= {"utterance": 1.0, "frames": float(frames)}
    found["features"] |= {f"frames beyond {rise}": max(0.0, frames - rise) for rise in _FEATURE_RISES}
    found["encoder"]["utterance"] = 1.0
    found["search"] |= _search_terms(operations, workload)
    return {stage: {term: amount for term, amount in terms.items() if amount > 0} for stage, terms in found.items()}


def _terms_of(operation: Operation, count: int, calls: int) -> Mapping[str, float]:
    """`count`: how many there are of what the operation counts by; `calls`: how often it is called."""
    kernel, macs = operation.kernel, count * operation.macs
    read, written = count * operation.inputs, count * operation.outputs
    match operation.kind:
        case "product":
            named = "CTC" if operation.stage == "ctc" else kernel
            amounts = {"calls": calls, "macs": macs, "read": read, "written": written, "weights": calls * operation.weights}
            return {f"{named} {name}": float(amount) for name, amount in amounts.items()}
        case "convolution":
            return {f"convolution {kernel} macs": float(macs), f"convolution {kernel} numbers": float(read + written)}
        case "depthwise":
            return {"depthwise macs": float(macs), "depthwise written": float(written)}
        case "scores" | "position_scores" | "values":
            return {"attention calls": float(calls), "attention macs": float(macs)}
        case "softmax":
            return {"softmax": float(written)}
        case "normalization":
            return {"normalization": float(written)}
        case "lookup":
            return {}


def _search_terms(operations: Iterable[Operation], workload: Workload) -> Mapping[str, float]:
    """What a search costs around the graph, and the pools of keys and values that every step copies."""
    steps = workload.steps
    pool_numbers = sum(2 * operation.outputs for operation in operations if operation.kind == "values" and operation.per == "node_pair")
    return {
        "utterance": 1.0,
        "steps": float(len(steps)),
        "hypotheses": float(sum(step.hypotheses for step in steps)),
        "candidates": float(sum(step.hypotheses * (step.hypotheses + 1) for step in steps)),
        "mask": float(sum(step.hypotheses * (step.nodes + step.hypotheses) for step in steps)),
        "pool copied": float(pool_numbers * sum(step.nodes + step.hypotheses for step in steps)),
    }
