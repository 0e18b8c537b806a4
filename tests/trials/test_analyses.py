"""Analyses of a tiny model from its data to the cache: block orders by loss, heads, and pruning curves by divergence and by score."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from paredown.analysis.heads import HeadDivergences
from paredown.analysis.pruning import SHARES
from paredown.compress.network import ranked_parameters
from paredown.data import Split, open_data
from paredown.models import Model, load_model
from paredown.models.tokenizer import text_encoder
from paredown.trials.block_order import BlockOrdering, OrderRule
from paredown.trials.decoding import Decoder
from paredown.trials.head_analysis import analyse_heads
from paredown.trials.pruning_curves import analyse_pruning
from paredown.trials.teacher_forced import read_references
from paredown.trials.workshop import Workshop
from tests.commands.tiny import write_model, write_split


class Lines:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[str, int, int]] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, what: str, done: int, total: int) -> None:
        self.steps.append((what, done, total))


@dataclass
class Place:
    """All that an analysis needs."""

    model: Model
    split: Split
    workshop: Workshop
    decoder: Decoder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tiny")
    model, split = load_model(write_model(folder / "model")), open_data(str(write_split(folder / "analysis")))
    with Decoder(1) as decoder, Workshop(model) as workshop:
        yield Place(model, split, workshop, decoder)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path))


def order(place: Place, rule: OrderRule, tell: Lines) -> tuple[tuple[int, ...], tuple[float, ...], str]:
    found = BlockOrdering(place.model, place.workshop, place.decoder, tell)("decoder", 2, rule, place.split)
    return found.layer_order["decoder"].removed, found.layer_order["decoder"].scores, found.subset


def test_blocks_go_by_the_loss_on_references(place: Place) -> None:
    tell = Lines()
    removed, scores, words = order(place, OrderRule(by="loss"), tell)
    assert set(removed) == {1, 2}
    assert words == "order of decoder blocks by loss on 4 utterances"
    assert tell.steps[-1] == ("models", 3, 3)
    encode, losses = text_encoder(place.model), []
    for features, utterance in zip(read_references(place.model, place.split), place.split.utterances, strict=True):
        tokens = encode(utterance.reference("st"))
        assert features.tokens == tokens
        with torch.inference_mode():
            memory = place.model.encode(torch.from_numpy(features.features))[None]
            state = place.model.network.decoder.embed(torch.tensor([[place.model.sos, *tokens]]))
            causal = torch.ones(len(tokens) + 1, len(tokens) + 1).tril().bool()[None]
            for block in (0, *({1, 2} - {removed[0]}), 3):
                state = place.model.network.decoder.decoders[block](state, causal, memory, None)[0]
            logits = place.model.network.decoder.output_layer(place.model.network.decoder.after_norm(state))[0]
        losses.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor([*tokens, place.model.eos]), reduction="sum")))
    assert scores[0] == pytest.approx(-np.mean(losses), rel=1e-5)  # float32


def test_a_wider_search_is_another_analysis_and_the_paper_has_width_1(place: Place) -> None:
    rule = OrderRule(utterances=2, beam=1)
    assert rule.to_dict() != replace(rule, width=1).to_dict()
    narrow, wide = order(place, replace(rule, width=1), Lines()), order(place, rule, Lines())
    assert narrow[2] == wide[2] == "order of decoder blocks by chrf on 4 utterances with beam 1"
    assert sum(wide[1]) >= sum(narrow[1])


def test_heads_are_measured_once(place: Place) -> None:
    tell = Lines()
    first = analyse_heads(place.model, place.split, place.workshop, place.decoder, tell, utterances=2)
    assert isinstance(first, HeadDivergences)
    assert {path: len(values) for path, values in first.divergences} == dict(place.model.inventory().heads)
    assert tell.lines == ["analysis: KL of removing every attention head, on 2 utterances"]
    assert analyse_heads(place.model, place.split, place.workshop, place.decoder, tell, utterances=2) == first
    assert tell.lines[1] == "analysis: KL of removing every attention head, from the cache (heads on 2 utterances)"
    assert analyse_heads(place.model, place.split, place.workshop, place.decoder, tell, utterances=3) != first


def test_pruning_curves_have_every_group_and_each_metric_its_own_entry(place: Place) -> None:
    tell = Lines()

    def curves(metric: str) -> tuple[np.ndarray, float]:
        found = analyse_pruning(place.model, place.split, place.workshop, place.decoder, tell, metric=metric, utterances=1)
        assert found.groups == tuple(ranked_parameters(place.model))
        assert (found.shares, found.metric) == (SHARES, metric)
        return found.values, found.unpruned

    values, unpruned = curves("divergence")
    assert unpruned == 0.0
    assert (values[:, -1] >= values[:, 0]).all()  # equal norms go in network order, the last one first
    scores, whole = curves("chrf")
    assert scores.shape == values.shape
    assert 0.0 <= whole <= 100.0
    assert np.array_equal(curves("chrf")[0], scores)
    assert [line.partition("curves of every group by ")[2].split(",")[0] for line in tell.lines] == ["divergence", "chrf", "chrf"]
    assert "from the cache (pruning of every group on 1 utterances with beam 4)" in tell.lines[2]
