"""What reading energy costs: translations of the bundled model with and without a running meter, and the reading's own CPU time.

Latency's own noise is larger than the bar, so the bar is held against what reading takes: the CPU time of the thread and of both reads
at the ends of a window, over the window. The ratio of latencies stands beside it. Where this machine has no counter that may be read,
the meter runs over a faked powercap tree on real files, and the output says so: a file of a temporary folder costs about what one of
sysfs does, not counting the processor's own register, which takes microseconds.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from paredown.bundle.write import write_bundle
from paredown.compress.network import compress_model
from paredown.data import open_data
from paredown.errors import BadInput
from paredown.models import load_model
from paredown.profilers.energy.base import EnergySource, EnergyUnavailable
from paredown.profilers.energy.meter import EnergyWindow, measure_window
from paredown.profilers.energy.powercap import PowercapSource
from paredown.profilers.energy.probe import open_source
from paredown.profilers.machine_lock import machine_lock
from paredown.profilers.pinning import pinned
from paredown.runtime import Translator
from paredown.runtime.audio import read_audio
from paredown.space.configuration import Configuration
from tests.benchmarks.bars import Bar, print_bars
from tests.benchmarks.interleave import Ratio, ratio

MODEL = "bundled:tatoeba-en-de"
BAR_PERCENT = 0.5
DOMAINS = {
    "intel-rapl:0": "package-0",
    "intel-rapl:0:0": "core",
    "intel-rapl:0:1": "uncore",
    "intel-rapl:0:2": "dram",
    "intel-rapl:1": "psys",
}
RANGE_UJ = 262_143_328_850
NEAR_END_UJ = 1_000_000  # a counter that has just wrapped is looked at twenty times a second, the dearest that can be


class Counters(threading.Thread):
    """Counters on files that rise by so many watts, the package's from `begin_uj`.

    They are written ten times a second by a thread whose time is not the meter's.
    """

    def __init__(self, root: Path, begin_uj: int, power_w: float) -> None:
        super().__init__(daemon=True)
        self.folders: list[Path] = []
        self.begin_uj, self.power_w, self.ended = begin_uj, power_w, threading.Event()
        for folder, name in DOMAINS.items():
            path = root / "sys/class/powercap" / folder
            path.mkdir(parents=True)
            (path / "name").write_text(name + "\n")
            (path / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
            self.folders.append(path)
        self.begin_s = time.monotonic()
        self.write()

    def write(self) -> None:
        risen_uj = round((time.monotonic() - self.begin_s) * self.power_w * 1e6)
        for folder in self.folders:
            begin_uj = self.begin_uj if folder.name == "intel-rapl:0" else RANGE_UJ // 2
            (folder / "new").write_text(f"{begin_uj + risen_uj}\n")
            (folder / "new").replace(folder / "energy_uj")  # never half written

    def run(self) -> None:
        while not self.ended.wait(0.1):
            self.write()


def measure_overhead(
    source: EnergySource, run: Callable[[int], object], items: int, windows: int, window_s: float
) -> tuple[list[EnergyWindow], Ratio]:
    """Windows with the meter on, and the ratio of latencies with and without it: every utterance both ways in random order."""
    rng = np.random.default_rng(0)
    found, on_s, off_s = [], [], []

    def work(times: list[float]) -> None:
        begin = time.monotonic()
        while time.monotonic() - begin < window_s:
            for item in range(items):
                before = time.perf_counter()
                run(item)
                times.append(time.perf_counter() - before)

    for _ in range(windows):
        times: dict[bool, list[float]] = {True: [], False: []}
        for metered in rng.permutation([True, False]).tolist():
            if metered:
                found.append(measure_window(source, lambda kept=times[True]: work(kept)))
            else:
                work(times[False])
        on_s.append([np.median(times[True][item::items]) for item in range(items)])
        off_s.append([np.median(times[False][item::items]) for item in range(items)])
    return found, ratio(np.array(on_s).T, np.array(off_s).T)


def share_percent(windows: list[EnergyWindow]) -> float:
    return 100.0 * sum(window.reading_cpu_s for window in windows) / sum(window.seconds for window in windows)


def make_run(folder: Path, utterances: int) -> Callable[[int], object]:
    model = load_model(MODEL)
    bundle = write_bundle(model, compress_model(model, Configuration()), folder / "bundle")
    translator = Translator.from_bundle(bundle, threads=1, beam_size=5)
    files = [utterance.audio for utterance in open_data(f"{MODEL}/test").utterances[:utterances]]
    waveforms = [read_audio(file, translator.features.frontend.sample_rate_hz) for file in files]
    for waveform in waveforms:
        translator.translate(waveform)
    return lambda item: translator.translate(waveforms[item])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=8, help="with the meter, and as many without")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a window")
    parser.add_argument("--utterances", type=int, default=6)
    options = parser.parse_known_args()[0]
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        run = make_run(folder, options.utterances)
        bars = []
        for what, source, ended in open_meters(folder):
            with machine_lock(), pinned(1):
                windows, latency = measure_overhead(source, run, options.utterances, options.windows, options.seconds)
            ended.set()
            polls = sum(window.polls for window in windows) / sum(window.seconds for window in windows)
            print(f"  {what}: {polls:.3g} looks a second; latency with the meter / without: {latency}")
            bars.append(Bar(f"energy reading, CPU time of latency, {what}", share_percent(windows), BAR_PERCENT, False, "%"))
        print_bars(f"overhead of energy reading, {options.windows} windows of {options.seconds:g} s", bars)


def open_meters(folder: Path) -> list[tuple[str, EnergySource, threading.Event]]:
    """The real counters where they may be read; else faked ones, far from the end of their range and near it."""
    try:
        return [("RAPL of this machine", open_source("cpu"), threading.Event())]
    except (BadInput, EnergyUnavailable) as reason:
        print(f"  no counter here ({reason})\n  so: FAKED powercap tree of 5 domains on real files")
    found: list[tuple[str, EnergySource, threading.Event]] = []
    # The second rises so slowly that it stays near the end of its range for all windows.
    for what, begin_uj, power_w in (("faked, far from a wrap", RANGE_UJ // 2, 20.0), ("faked, just after a wrap", NEAR_END_UJ, 0.3)):
        root = folder / what.replace(" ", "-")
        counters = Counters(root, begin_uj, power_w)
        counters.start()
        found.append((what, PowercapSource(root), counters.ended))
    return found


if __name__ == "__main__":
    main()
