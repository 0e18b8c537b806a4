"""Figures that do not change when something is clicked: the KL table, its curves, pruning curves and the order of blocks.

Made as plotly figures and written as their JSON; colours of text and lines are the page's.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from paredown.analysis.result import Analysis
from paredown.trials.kept_analyses import Curves, KeptAnalyses, Order

ROW_PX = 15
# Okabe and Ito's, which are told apart by colour-blind readers too; yellow, which vanishes on white, is left out.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f")
DASHES = ("solid", "dash", "dot")


def sensitivity_charts(found: KeptAnalyses) -> list[dict[str, Any]]:
    """Each with its name, its caption and its figure; none for what was not analysed."""
    charts = []
    if found.kl is not None and found.kl.paths:
        charts += [_table(found.kl), _curves(found.kl)]
    if found.pruning is not None:
        charts.append(_pruning(found.pruning))
    return charts + [_order(order) for order in found.orders]


def _chart(name: str, title: str, caption: str, figure: Any, height_px: int, about: str) -> dict[str, Any]:
    value = figure.to_plotly_json()
    layout = {key: entry for key, entry in value["layout"].items() if key != "template"}
    caption = caption[:1].upper() + caption[1:]
    return {"name": name, "title": title, "caption": caption, "height": height_px, "data": value["data"], "layout": layout, "about": about}


def short_path(path: str) -> str:
    """ "encoder.encoders.3.feed_forward.w_1" as "enc 3 feed_forward.w_1"."""
    return re.sub(r"^(enc|dec)oder\.(?:en|de)coders\.(\d+)\.", r"\1 \2 ", path)


def group_of(path: str) -> str:
    """The sublayer kind of a layer, over all blocks: "encoder feed_forward"."""
    parts = path.split(".")
    inside = len(parts) > 3 and parts[2].isdigit()
    return f"{parts[0]} {parts[3]}" if inside else ".".join(parts[:2])


def _table(kl: Analysis) -> dict[str, Any]:
    import plotly.graph_objects as go

    floor = max(1e-12, float(kl.kl[kl.kl > 0].min())) if (kl.kl > 0).any() else 1e-12
    logs = np.round(np.log10(np.maximum(kl.kl, floor)), 2)
    shown = [[f"{value:.2e}" for value in row] for row in kl.kl.tolist()]
    low, high = int(np.floor(logs.min())), int(np.ceil(logs.max()))
    ticks = list(range(low, high + 1, 2))
    bar = {"tickvals": ticks, "ticktext": [f"1e{tick}" for tick in ticks], "thickness": 10, "lenmode": "pixels", "len": 220, "y": 1}
    bar |= {"yanchor": "top", "title": {"text": "nats", "side": "top"}}
    labels = [short_path(path) for path in kl.paths]
    trace = go.Heatmap(
        x=[f"{width}" for width in kl.widths], y=labels, z=logs.tolist(), text=shown, colorscale="Cividis", colorbar=bar, xgap=1, ygap=1
    )
    trace.hovertemplate = "%{y}<br>%{x} bits: %{text} nats<extra></extra>"
    figure = go.Figure(trace)
    figure.update_yaxes(autorange="reversed", tickfont_size=9, dtick=1, type="category")
    figure.update_xaxes(title_text="bits", type="category", side="top")
    caption = f"{kl.subset}; {kl.seconds:.0f} s. Brighter is more sensitive: that layer alone at that width changes the output more."
    return _chart("kl", "KL divergence of every layer at every bit-width", caption, figure, 120 + ROW_PX * len(labels), "kl")


def _curves(kl: Analysis) -> dict[str, Any]:
    import plotly.graph_objects as go

    sums: dict[str, Any] = {}
    for path, row in zip(kl.paths, kl.kl, strict=True):
        sums[group_of(path)] = sums.get(group_of(path), 0.0) + row
    figure = go.Figure()
    for place, (name, row) in enumerate(sums.items()):
        values = [float(f"{value:.4g}") if value > 0 else None for value in row.tolist()]
        figure.add_scatter(x=list(kl.widths), y=values, name=name, mode="lines+markers", line=_line(place))
    figure.update_yaxes(type="log", title_text="summed KL, nats", exponentformat="power")
    figure.update_xaxes(title_text="bits", dtick=1)
    caption = f"{kl.subset}. Divergences of the layers of each kind, summed: lower is better."
    return _chart("kl_curves", "Sensitivity by kind of layer", caption, figure, 420, "kl")


def _pruning(curves: Curves) -> dict[str, Any]:
    import plotly.graph_objects as go

    figure = go.Figure()
    for place, (name, row) in enumerate(zip(curves.parts, curves.values, strict=True)):
        values = [curves.unpruned, *(float(f"{value:.5g}") for value in row)]
        figure.add_scatter(x=[0, *(100 * share for share in curves.shares)], y=values, name=name, mode="lines+markers", line=_line(place))
    divergence = curves.metric == "divergence"
    figure.update_xaxes(title_text="weights of the group set to zero, %")
    figure.update_yaxes(title_text="KL divergence, nats" if divergence else curves.metric)
    better = "lower is better" if divergence or curves.metric == "wer" else "higher is better"
    return _chart("pruning", "One module group pruned alone", f"{curves.subset}; {better}.", figure, 420, "pruning")


def _order(order: Order) -> dict[str, Any]:
    import plotly.graph_objects as go

    removed, scores = order.order.removed, order.order.scores
    labels = [f"{place}. block {block}" for place, block in enumerate(removed, 1)]
    figure = go.Figure()
    if scores:
        figure.add_scatter(x=labels, y=[float(f"{score:.5g}") for score in scores], mode="lines+markers+text", line=_line(0))
        figure.data[0].text = [f"{score:.1f}" for score in scores]
        figure.data[0].textposition = "top center"
        figure.update_yaxes(title_text=f"{order.by} without them")
    else:
        figure.add_bar(x=labels, y=[1] * len(labels))
        figure.update_yaxes(visible=False)
    figure.update_xaxes(type="category", title_text="removed, one after the other")
    caption = f"{order.subset}. Blocks that are missed least go first; each step leaves out all before it too."
    return _chart(f"order_{order.stack}", f"Order in which {order.stack} blocks go", caption, figure, 320, "order")


def _line(place: int) -> Mapping[str, Any]:
    return {"color": COLOURS[place % len(COLOURS)], "dash": DASHES[place // len(COLOURS) % len(DASHES)], "width": 2}
