"""Pruned configurations: all groups ranked together (Table 3), one alone (Fig. 4), and the paper's strategy (Table 4)."""

from dataclasses import replace

from paredown.compress.network import ranked_parameters, state_of
from paredown.compress.ranking import Ranking
from paredown.space.axes.sparsity import GlobalSparsityAxis
from paredown.space.configuration import Configuration
from studies.on_device_st.paper import TABLE_4
from studies.reproduction.bench import Bench


def global_pruning(bench: Bench, base: Configuration, shares: tuple[float, ...]) -> dict[float, Configuration]:
    """The smallest weights of the whole model go: all groups in one ranking. A share of 0 is the base."""
    groups = {group: names for group, names in ranked_parameters(bench.model).items() if names}
    axis = GlobalSparsityAxis(groups, Ranking(state_of(bench.model)).count_survivors, max(shares))
    return {share: axis.resolve({"sparsity.share": share}, base) if share else base for share in shares}


def one_group(base: Configuration, group: str, share: float) -> Configuration:
    return replace(base, sparsity=((group, share),))


def table_4(bench: Bench, base: Configuration) -> Configuration:
    """The paper's strategy, of the groups that the model has."""
    there = weights_of_groups(bench)
    return replace(base, sparsity=tuple((group, share) for group, share in TABLE_4.values() if there.get(group)))


def weights_of_groups(bench: Bench) -> dict[str, int]:
    """How many weights of every group pruning ranks."""
    network = bench.model.network
    ranked = ranked_parameters(bench.model)
    return {group: sum(network.get_parameter(name).numel() for name in names) for group, names in ranked.items()}
