"""A Ray cluster of eight nodes on this machine: speed-up with evaluations of 2 s, two nodes killed, and where measurements run.

An evaluation rests for 2 s in a task, so that the nodes need not share the cores of this machine: what is measured is the way there and
back, and the loop of the study with as many lanes as there are nodes.
"""

import os
import secrets
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from paredown.cluster import Cluster, connect
from paredown.cluster.dispatch import Job
from paredown.cluster.nodes import ANYWHERE, on_target
from paredown.search.loop import run_study
from paredown.search.outcome import Outcome
from paredown.space.configuration import Configuration
from paredown.trials.timing import Device
from tests.benchmarks.bars import Bar, print_bars
from tests.search.toy import evaluate as toy_evaluate
from tests.search.toy import open_study, toy_spec

NODES, EVALUATION_S, KILLED = 8, 2.0, 2
ALONE, TOGETHER = 8, 96  # trials on one node and on all of them
MEASUREMENTS, MEASURING_THREADS, TARGETS = 40, 6, ("cpu", "other")
SMALL = {"object_store_memory": 80 * 1024 * 1024}


def conduct(cluster: Cluster, trials: int, meanwhile: Callable[[], object] = lambda: None) -> tuple[float, Counter[str], list[str]]:
    """Seconds of a study of so many trials; how often each configuration was evaluated to the end; how the trials ended."""
    evaluated: Counter[str] = Counter()

    def evaluate(configuration: Configuration, number: int) -> Outcome:
        cluster.dispatch.run([Job(time.sleep, (EVALUATION_S,))], ANYWHERE)
        evaluated[configuration.digest] += 1
        return toy_evaluate(configuration, number)

    with tempfile.TemporaryDirectory() as folder, open_study(Path(folder), toy_spec(sampler="random", trials=trials)) as study:
        other = threading.Thread(target=meanwhile)
        began = time.monotonic()
        other.start()
        run_study(study, evaluate, (), lanes=cluster.lanes)
        seconds = time.monotonic() - began
        other.join()
        return seconds, evaluated, [trial.state for trial in study.trials]


def wake(cluster: Cluster) -> None:
    """A process on every node, so that starting them is not measured."""
    cluster.dispatch.run([Job(time.sleep, (1.0,))] * cluster.lanes() * 2, ANYWHERE)


def speed_up(cluster: Cluster, ray_cluster: Any, nodes: list[Any]) -> list[Bar]:
    """`nodes`: those that decode; the first is there, the others are added."""
    wake(cluster)
    alone_s, _, _ = conduct(cluster, ALONE)
    while len(nodes) < NODES:
        nodes.append(ray_cluster.add_node(num_cpus=1, **SMALL))
    wake(cluster)
    together_s, _, _ = conduct(cluster, TOGETHER)
    ratio = (TOGETHER / together_s) / (ALONE / alone_s)
    print(f"  one node: {ALONE} trials in {alone_s:.1f} s; {NODES} nodes: {TOGETHER} trials in {together_s:.1f} s")
    return [Bar(f"trials a second, {NODES} nodes / one node", ratio, 7.0)]


def kill_nodes(cluster: Cluster, ray_cluster: Any, victims: list[Any]) -> list[Bar]:
    """Nodes that decode die in the middle of a study."""
    trials = TOGETHER // 2

    def kill() -> None:
        for node in victims:
            time.sleep(1.7 * EVALUATION_S)
            ray_cluster.remove_node(node, allow_graceful=False)

    before = cluster.repeated
    seconds, evaluated, states = conduct(cluster, trials, kill)
    lost = trials - states.count("complete") + (len(states) - trials)
    print(f"  {len(victims)} of {NODES} nodes killed: {trials} trials in {seconds:.1f} s, {cluster.repeated - before} tasks sent again")
    return [
        Bar("tasks that died with them and were sent again", float(cluster.repeated - before), 1, unit=""),
        Bar("trials lost, interrupted or too many", float(lost), 0, at_least=False, unit=""),
        Bar("trials evaluated twice", float(sum(count > 1 for count in evaluated.values())), 0, at_least=False, unit=""),
    ]


def measure(cluster: Cluster, carriers: dict[str, str]) -> list[Bar]:
    """Profiling tasks from several threads, while all other nodes are busy."""

    def one(number: int) -> tuple[str, Any]:
        target = TARGETS[number % len(TARGETS)]
        return target, cluster.dispatch.run([Job(time.sleep, (0.05,))], on_target(target), Device(1))[0]

    with ThreadPoolExecutor(MEASURING_THREADS + 1) as threads:
        busy = threads.submit(cluster.dispatch.run, [Job(time.sleep, (0.5,))] * 4 * NODES, ANYWHERE)
        answers = list(threads.map(one, range(MEASUREMENTS)))
        busy.result()
    elsewhere = sum(answer.node != carriers[target] for target, answer in answers)
    overlapping = 0
    for target in TARGETS:
        spans = sorted((answer.began_s, answer.ended_s) for name, answer in answers if name == target)
        overlapping += sum(began < ended for (_, ended), (began, _) in pairwise(spans))
    print(
        f"  {MEASUREMENTS} measurements of {len(TARGETS)} targets from {MEASURING_THREADS} threads: {Counter(name for name, _ in answers)}"
    )
    return [
        Bar("measurements on a node without the target", float(elsewhere), 0, at_least=False, unit=""),
        Bar("measurements that overlap on one target", float(overlapping), 0, at_least=False, unit=""),
    ]


def main() -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray would write one into the home folder
    try:
        from ray import cluster_utils
    except ImportError:
        print_bars("Ray", [Bar("cluster", None, 7.0, reason="the extra [ray] is not installed")])
        return
    ray_cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **SMALL})
    try:
        carriers = {name: ray_cluster.add_node(num_cpus=0, resources={f"target:{name}": 1}, **SMALL).node_id for name in TARGETS}
        nodes = [ray_cluster.add_node(num_cpus=1, **SMALL)]
        with connect(ray_cluster.address, 1, lambda line: print(f"  {line}", flush=True)) as cluster:
            bars = speed_up(cluster, ray_cluster, nodes)
            bars += measure(cluster, carriers)
            bars += kill_nodes(cluster, ray_cluster, nodes[-KILLED:])
    finally:
        ray_cluster.shutdown()
    print_bars("a cluster on this machine", bars)


if __name__ == "__main__":
    main()
