"""What tasks need of a node, and how long one that left is waited for; without a cluster."""

import pytest

from paredown.cluster import nodes
from paredown.cluster.dispatch import Dispatch
from paredown.cluster.facts import INT8, Facts
from paredown.cluster.nodes import ANYWHERE, Node, Vigil, on_target, training_place
from paredown.cluster.trainer import RayTrainer
from paredown.errors import BadInput

WORKSTATION = Node("a", "workstation", (("CPU", 4.0),))
LAPTOP = Node("b", "laptop", (("target:cpu", 1.0),))


def test_who_can_take_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "living_nodes", lambda: (WORKSTATION, LAPTOP))
    assert ANYWHERE.check() == (WORKSTATION,)
    assert on_target("cpu").check() == (LAPTOP,)
    with pytest.raises(BadInput, match=r"no node with target:cuda; on the machine to measure: .*--resources='\{\"target:cuda\": 1\}'"):
        on_target("cuda").check()


def test_a_target_takes_all_of_it_and_a_gpu_where_it_is_one() -> None:
    assert on_target("cpu").options == {"num_cpus": 0.0, "num_gpus": 0.0, "resources": {"target:cpu": 1.0}, "max_retries": 0}
    assert on_target("cuda").options["num_gpus"] == 1.0


def test_a_node_that_left_is_waited_for_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [LAPTOP]
    monkeypatch.setattr(nodes, "living_nodes", lambda: tuple(there))
    now, lines = 0.0, []
    vigil = Vigil(on_target("cpu"), lines.append, limit_s=20.0, clock=lambda: now)
    vigil.look()
    assert lines == []
    there.clear()
    for now in (1.0, 3.0, 7.0, 12.0):  # noqa: B007 (the clock reads it)
        vigil.look()
    assert len(lines) == 3  # the second look came too soon after the first
    assert "waiting for a node with target:cpu" in lines[0]
    there.append(LAPTOP)
    now = 15.0
    vigil.look()
    there.clear()
    for now in (16.0, 35.0):  # noqa: B007 (counted anew)
        vigil.look()
    now = 36.0
    with pytest.raises(BadInput, match="waited 20 s: the cluster has no node with target:cpu"):
        vigil.look()


def test_nodes_that_differ_are_refused_by_name() -> None:
    one = Facts("workstation", (("paredown", "0.1.0"), (INT8, "that do not saturate")))
    one.check(one, decoding=True)
    with pytest.raises(BadInput, match=r"same paredown: laptop has 0\.2\.0, workstation 0\.1\.0"):
        Facts("laptop", (("paredown", "0.2.0"), (INT8, "that do not saturate"))).check(one, decoding=False)
    other = Facts("laptop", (("paredown", "0.1.0"), (INT8, "that saturate")))
    other.check(one, decoding=False)
    with pytest.raises(BadInput, match="start one of them with --num-cpus=0"):
        other.check(one, decoding=True)


def test_training_takes_the_threads_that_there_are_and_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "living_nodes", lambda: (WORKSTATION, LAPTOP))
    assert training_place(2).options == {"num_cpus": 2.0, "num_gpus": 0.0, "resources": {}, "max_retries": 0}
    assert training_place(16).cpus == 4.0
    server = Node("c", "server", (("CPU", 8.0), ("GPU", 2.0)))
    monkeypatch.setattr(nodes, "living_nodes", lambda: (WORKSTATION, server))
    place = training_place(16)
    assert (place.nodes(), place.cpus, place.gpus) == ((server,), 8.0, 1.0)
    monkeypatch.setattr(nodes, "living_nodes", lambda: (LAPTOP,))
    with pytest.raises(BadInput, match="no node with CPU; start one"):
        training_place(1)


def test_as_many_train_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Node("c", "server", (("CPU", 9.0), ("GPU", 1.0)))
    monkeypatch.setattr(nodes, "living_nodes", lambda: (WORKSTATION, LAPTOP))
    with RayTrainer(Dispatch(Facts("here", ()), lambda line: None), 2) as trainer:
        assert trainer.lanes() == 2
    monkeypatch.setattr(nodes, "living_nodes", lambda: (WORKSTATION, server))
    with RayTrainer(Dispatch(Facts("here", ()), lambda line: None), 2) as trainer:
        assert trainer.lanes() == 1
