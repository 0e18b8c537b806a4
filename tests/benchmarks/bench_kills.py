"""100 SIGKILLs at random moments, to drivers and workers of toy studies: what is lost or repeated, and how studies end."""

import tempfile
from pathlib import Path

from tests.trials.killed import kill_studies

KILLS, TRIALS = 100, 40


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        count = kill_studies(Path(folder), KILLS, TRIALS, seed=0)
    print(f"{count.kills} SIGKILLs: {count.drivers} drivers, {count.workers} workers, in {len(count.lengths)} studies of {TRIALS} trials")
    print(f"completed trials lost: {count.lost}, repeated: {count.repeated}, given up after two dead workers: {count.rejected}")
    print(f"trials in the end: {', '.join(map(str, count.lengths))}")


if __name__ == "__main__":
    main()
