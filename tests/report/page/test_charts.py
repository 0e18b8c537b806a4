"""Figures of the analyses show what was measured."""

from pathlib import Path

import numpy as np
import pytest

from paredown.report.page.charts import group_of, sensitivity_charts, short_path
from paredown.trials.kept_analyses import KeptAnalyses
from tests.report.page import pages


def test_every_analysis_has_its_figure(tmp_path: Path) -> None:
    found = pages.facts(pages.write_study(tmp_path)).analyses
    charts = {chart["name"]: chart for chart in sensitivity_charts(found)}
    assert list(charts) == ["kl", "kl_curves", "pruning", "order_decoder"]
    assert found.kl is not None
    table = charts["kl"]["data"][0]
    assert np.array(table["z"]) == pytest.approx(np.log10(found.kl.kl), abs=0.005)  # two digits are kept
    assert table["y"][0] == "enc 0 feed_forward.w_1"
    (curve,) = charts["kl_curves"]["data"]
    assert curve["name"] == "encoder feed_forward"
    assert curve["y"] == pytest.approx(found.kl.kl.sum(axis=0), rel=1e-3)  # four digits are kept
    assert charts["pruning"]["data"][0]["x"] == [0, 10.0, 50.0]
    assert charts["pruning"]["data"][0]["y"] == [51.0, 50.0, 20.0]
    assert charts["order_decoder"]["data"][0]["y"] == [48.0, 45.0]


def test_what_was_not_analysed_has_none() -> None:
    assert sensitivity_charts(KeptAnalyses()) == []


def test_names_of_layers() -> None:
    assert short_path("decoder.decoders.2.src_attn.linear_q") == "dec 2 src_attn.linear_q"
    assert short_path("decoder.output_layer") == "decoder.output_layer"
    assert group_of("decoder.decoders.2.src_attn.linear_q") == "decoder src_attn"
    assert group_of("encoder.embed.conv.0") == "encoder.embed"
