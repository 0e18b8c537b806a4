"""The rows of global pruning, which Table 3 and Figure 3 share."""

from collections.abc import Callable
from dataclasses import replace

from paredown.data import Split
from paredown.space.configuration import Configuration
from studies.on_device_st.paper import TABLE_3
from studies.on_device_st.rows import SIZE, few, measured, printed, tried
from studies.on_device_st.strategies import global_pruning
from studies.on_device_st.timing import time_together
from studies.on_device_st.torch_files import saved_sparse_mib
from studies.reproduction.bench import Bench
from studies.reproduction.result import Column, Row

SPARSE_FP32 = Column("fp32 bundle, MiB", ours_only=True)
SPARSE_INT8 = Column("int8 bundle, MiB", ours_only=True)
MILD = 0.4  # up to here rows are scored on the whole of test


def global_rows(bench: Bench) -> dict[float, Row]:
    """By sparsity. The size beside the paper's is that of torch's sparse form; those of bundles are foretold, to the byte."""
    configurations = global_pruning(bench, bench.whole, tuple(TABLE_3))
    int8 = global_pruning(bench, bench.uniform(8), tuple(TABLE_3))
    names = {share: f"{share:g}" for share in TABLE_3}
    timed = time_together(bench, {names[share]: one for share, one in configurations.items()})

    def make(share: float) -> Callable[[], Row]:
        def row() -> Row:
            one, paper, split = configurations[share], printed(TABLE_3[share]), split_of(bench, share)
            found = measured(bench, names[share], one, timed[names[share]], paper, split)
            return replace(found, ours={**found.ours, **_sizes(bench, one, int8[share])})

        return row

    return {share: tried(names[share], printed(TABLE_3[share]), make(share)) for share in TABLE_3}


def split_of(bench: Bench, share: float) -> Split:
    return bench.test if share <= MILD else few(bench)


def _sizes(bench: Bench, fp32: Configuration, int8: Configuration) -> dict[str, float]:
    """In MiB: of torch's file (dense where nothing is pruned), and of bundles."""

    def work() -> dict[str, float]:
        dense = fp32 == bench.whole
        in_torch = bench.model.inference_parameters * 4 / 2**20 if dense else saved_sparse_mib(bench.model, fp32)
        fp32_mib, int8_mib = (bench.workshop.foretell(one).size_bytes / 2**20 for one in (fp32, int8))
        return {SIZE.name: in_torch, SPARSE_FP32.name: fp32_mib, SPARSE_INT8.name: int8_mib}

    return dict(bench.remember("sparse sizes", work, fp32.digest, int8.digest))
