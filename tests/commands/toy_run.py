"""`paredown run` around a toy study, without a model: the command line, the display, the signals and the disk are the real ones.

toy_run.py KIND ARGUMENTS…: KIND says how evaluations go. "quick", "slow" (each takes a minute, in a worker process), "failing" (out of
memory) or "pausing" (one sign of life each 0.2 s).
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paredown.search.progress
from paredown.cli import main
from paredown.search.loop import run_study
from paredown.search.outcome import Outcome
from paredown.search.spec import StudySpec
from paredown.space.configuration import Configuration
from paredown.trials.workers import Workers
from tests.search import toy
from tests.trials.toy_job import work

PAUSES_S = {"quick": 0.0, "slow": 60.0, "failing": 0.0, "pausing": 1.0}


def conduct(spec: StudySpec, folder: Path, watch: Callable[[Any], None], tell: Any, warm: Sequence[Path], ray: None) -> SimpleNamespace:
    """In the place of `study_run.conduct`."""
    tell.line("a toy")
    with Workers(1) as workers:

        def evaluate(configuration: Configuration, number: int) -> Outcome:
            if KIND == "failing" and number > 0:
                raise MemoryError(f"Unable to allocate {number} GiB")
            # The first is quick: a study has something to keep.
            print(f"worker {workers.run(work, 0.0 if number == 0 else PAUSES_S[KIND])}", flush=True)
            return toy.evaluate(configuration, number)

        with toy.open_study(folder, toy.toy_spec(trials=spec.search.trials)) as study:
            return SimpleNamespace(why=run_study(study, evaluate, toy.given(), watch=watch), analysis_seconds=0.0, seconds=1.0)


if __name__ == "__main__":
    KIND = sys.argv[1]
    paredown.search.progress.LINE_PAUSE_S = 0.2 if KIND == "pausing" else 9.5
    sys.modules["paredown.trials.study_run"] = SimpleNamespace(conduct=conduct, default_folder=None)  # type: ignore[assignment]
    sys.exit(main(sys.argv[2:]))
