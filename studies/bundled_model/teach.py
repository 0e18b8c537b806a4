"""What the bundled model says of *train*, once for all recovery: `python -m studies.bundled_model.teach [--hypotheses]`.

Posteriors of every reference, about three minutes on two cores; with `--hypotheses` the model decodes *train* too (ten minutes more), and
gives the posteriors of what it wrote. All of it goes to the user's cache, where training looks for it. Resumable: what is there stays.
"""

import argparse
import time
from pathlib import Path

import torch

from paredown.data import load_split
from paredown.models import load_model
from paredown.recover.items import gather_items
from paredown.recover.teacher import find_posteriors
from paredown.recover.training_data import TrainingData
from paredown.space.training import Mixture
from paredown.trials.teaching import teach
from studies.bundled_model.train_split import TARGET

_EVERY_S = 10.0


class Lines:
    """Tells of progress now and then, one line each."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._told_s = 0.0

    def line(self, text: str) -> None:
        """A line with the seconds so far."""
        self._told_s = time.monotonic() - self._began_s
        print(f"{self._told_s:6.0f} s  {text}", flush=True)

    def progress(self, what: str, done: int, total: int) -> None:
        """A line, if the last one was long ago."""
        if done == total or time.monotonic() - self._began_s - self._told_s >= _EVERY_S:
            self.line(f"{what}: {done} of {total}")


def main() -> None:
    """Fills the cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled:tatoeba-en-de")
    parser.add_argument("--data", type=Path, default=TARGET)
    parser.add_argument("--hypotheses", action="store_true", help="decode too, for sequence-level distillation")
    parser.add_argument("--threads", type=int, default=2, help="with more than one, set OMP_WAIT_POLICY=passive on a busy machine")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, data, lines = load_model(arguments.model), TrainingData(load_split(arguments.data)), Lines()
    hypotheses = teach(model, data.train, lines) if arguments.hypotheses else None
    items = gather_items(model, data, Mixture(distilled=int(arguments.hypotheses)), hypotheses)
    find_posteriors(model, items, data.digests, progress=lambda done, total: lines.progress("batches of posteriors", done, total))
    lines.line(f"posteriors of {len(items)} targets")


if __name__ == "__main__":
    main()
