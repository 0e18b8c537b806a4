"""A real cluster of small nodes: results as they are locally, measurements on the target alone, nodes that die."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs the extra [ray]")
pytest.importorskip("torch")

from paredown.bundle import write_bundle
from paredown.cluster import connect
from paredown.cluster.dispatch import CRASHES, Job
from paredown.cluster.nodes import ANYWHERE
from paredown.compress.network import compress_model
from paredown.data import Split, load_split
from paredown.errors import BadInput
from paredown.models import load_model
from paredown.profilers.fingerprint import read_fingerprint
from paredown.profilers.latency.effort import Effort
from paredown.search.outcome import Rejected, Stopped
from paredown.space.configuration import Configuration, Decode
from paredown.trials.decoding import Decoder, Search
from paredown.trials.timing import REFERENCE, Timed
from paredown.trials.workers import WorkerDied
from tests.cluster.conftest import SMALL, Rig
from tests.cluster.jobs import PARTIAL, die_until, read, refuse, rest
from tests.commands.tiny import write_model, write_split

QUICK = Effort(repeats=2, loads=3, warmup=2)

pytestmark = pytest.mark.slow  # a cluster of several nodes on one machine: half a minute to start, and a minute in all


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    model = load_model(write_model(folder / "model"))
    return write_bundle(model, compress_model(model, Configuration(decode=Decode(beam_size=2, length_bonus=2.0))), folder / "bundle")


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return load_split(write_split(tmp_path_factory.mktemp("data") / "data", 7))


def test_the_cluster_decodes_what_this_machine_decodes(rig: Rig, bundle: Path, split: Split) -> None:
    with Decoder(workers=1) as decoder:
        local = decoder.decode(bundle, split), decoder.decode(bundle, split, Search(beam_size=3, nbest=2))
    with rig.connected.decoder() as decoder:
        assert decoder.workers == 1
        puts = rig.connected.dispatch.post.puts
        found = decoder.decode(bundle, split), decoder.decode(bundle, split, Search(beam_size=3, nbest=2))
    assert found == local
    assert all(hypothesis.ids for hypotheses in found for hypothesis in hypotheses)
    assert rig.connected.dispatch.post.puts == puts + 1 + len(split)  # the bundle and every file once


def test_files_travel_by_content(rig: Rig, tmp_path: Path) -> None:
    file, folder = tmp_path / "a.wav", tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    for content in (b"one", b"two"):  # a path that was written anew is another file
        file.write_bytes(content)
        (folder / "deep" / "b").write_bytes(content)
        (answer,) = rig.connected.dispatch.run([Job(read, (file, folder))], ANYWHERE)
        assert answer.value == (content, {"deep/b": content}, "1")


def test_the_target_measures(rig: Rig, bundle: Path, split: Split) -> None:
    with rig.connected.stopwatch(threads=1) as stopwatch:
        found = stopwatch.time({REFERENCE: Timed(bundle), "greedy": Timed(bundle, 1)}, split.first(2), QUICK, fixed_tokens=4, seed=0)
        assert (stopwatch.threads, stopwatch.device.target) == (1, "cpu")
        assert stopwatch.alone(rest, 0.0) == 0.0
    assert set(found) == {REFERENCE, "greedy"}
    assert all(latency.free.median_ms > 0 for latency in found.values())


def test_the_fingerprint_is_that_of_the_target(rig: Rig) -> None:
    assert rig.connected.fingerprint(threads=3) == read_fingerprint(3)  # here all nodes are one machine


def test_measurements_run_on_the_target_one_at_a_time(rig: Rig) -> None:
    stopwatch = rig.connected.stopwatch()
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: stopwatch.measure(rest, 0.05), range(8)))
    assert {answer.node for answer in answers} == {rig.target}
    spans = sorted((answer.began_s, answer.ended_s) for answer in answers)
    assert all(ended <= began for (_, ended), (began, _) in pairwise(spans))


def test_a_target_that_nobody_carries(rig: Rig) -> None:
    with pytest.raises(BadInput, match="no node with target:cuda; on the machine to measure: ray start"):
        rig.connected.stopwatch(target="cuda")


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("input", BadInput, "a rule is broken, got 7"),
        ("other", Rejected, "parity was missed"),
        ("stopped", Stopped, "the budget was missed"),
        ("disk", RuntimeError, "No space left"),
    ],
)
def test_errors_come_back_as_themselves(rig: Rig, kind: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as found:
        rig.connected.dispatch.run([Job(refuse, (kind,))], ANYWHERE)
    assert type(found.value) is error
    assert "\n" not in str(found.value)
    assert not isinstance(found.value, Stopped) or found.value.partial == PARTIAL
    with pytest.raises(error, match=text):
        rig.connected.stopwatch().alone(refuse, kind)


def test_a_process_that_dies_is_repeated_a_few_times(rig: Rig, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")  # no path: it must not travel
    (answer,) = rig.connected.dispatch.run([Job(_die_until, (mark, 1))], ANYWHERE)
    assert answer.value == 1
    with pytest.raises(WorkerDied, match=f"died {CRASHES} times on nodes that live on"):
        rig.connected.dispatch.run([Job(_die_until, (mark, 100))], ANYWHERE)


def _die_until(mark: str, times: int) -> int:
    return die_until(Path(mark), times)


def test_a_node_killed_in_the_middle_loses_nothing(rig: Rig) -> None:
    node = rig.ray_cluster.add_node(num_cpus=2, **SMALL)
    assert rig.connected.lanes() == 3
    repeated = rig.connected.repeated
    killer = threading.Timer(1.0, rig.ray_cluster.remove_node, (node, False))
    killer.start()
    answers = rig.connected.dispatch.run([Job(rest, (3.0,)), Job(rest, (3.0,)), Job(rest, (3.0,))], ANYWHERE)
    killer.join()
    assert [answer.value for answer in answers] == [3.0, 3.0, 3.0]
    assert rig.connected.repeated > repeated
    assert node.node_id not in {answer.node for answer in answers}
    deadline = time.monotonic() + 30  # Ray itself must notice first
    while rig.connected.lanes() > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert rig.connected.lanes() == 1
    assert any("lost" in line for line in rig.lines)


def test_one_cluster_at_a_time(rig: Rig) -> None:
    with pytest.raises(RuntimeError, match="one cluster at a time"), connect(rig.address, 1):
        pass


def test_a_target_that_leaves_is_waited_for(rig: Rig) -> None:
    target = next(node for node in rig.ray_cluster.worker_nodes if str(node.node_id) == rig.target)
    stopwatch = rig.connected.stopwatch()
    with ThreadPoolExecutor(1) as threads:
        measured = threads.submit(stopwatch.alone, rest, 3.0)
        time.sleep(1.0)
        rig.ray_cluster.remove_node(target, allow_graceful=False)
        deadline = time.monotonic() + 30
        while not any("waiting for a node" in line for line in rig.lines) and time.monotonic() < deadline:
            time.sleep(0.1)
        rig.ray_cluster.add_node(num_cpus=0, resources={"target:cpu": 1}, **SMALL)
        assert measured.result() == 3.0
    assert any("waiting for a node with target:cpu" in line for line in rig.lines)
