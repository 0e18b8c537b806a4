"""The report of a study of 1,000 trials: how long `paredown report` takes as a whole process, and how large the file is.

The study is that of `bench_large_study.py`: bits of as many layers as the bundled model has, figures with the details of real ones. Its
model is not on the disk, so what needs one (where bytes go, translations) takes no part; `--study` takes the report of a real study.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRIALS = 1_000
SECONDS, MEGABYTES = 10.0, 6.0


def report_seconds(folder: Path, output: Path) -> float:
    """Wall clock of the whole process."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "paredown.cli", "report", str(folder), "-o", str(output)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return time.perf_counter() - began


def run(trials: int, study: Path | None) -> None:
    """Print both figures, and the bars."""
    from tests.benchmarks.bars import Bar, print_bars
    from tests.benchmarks.bench_large_study import fill

    with tempfile.TemporaryDirectory() as place:
        folder, output = study or Path(place) / "large", Path(place) / "report.html"
        if study is None:
            fill(folder, trials)
        seconds = report_seconds(folder, output)
        size_mb = output.stat().st_size / 1e6
    print_bars(
        f"the report of {'a study of ' + str(trials) + ' trials' if study is None else study}",
        [
            Bar("written, a whole process", seconds, SECONDS, at_least=False, unit="s"),
            Bar("the file", size_mb, MEGABYTES, at_least=False, unit="MB"),
        ],
    )


def main() -> None:
    """Run with the numbers of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--study", type=Path, help="of this study instead")
    options = parser.parse_known_args()[0]
    run(options.trials, options.study)


if __name__ == "__main__":
    main()
