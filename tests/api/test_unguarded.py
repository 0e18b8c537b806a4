"""A script without `if __name__ == "__main__":` is not run again by the processes that work for it."""

import subprocess
import sys
from pathlib import Path

from paredown.api.unguarded import script_hidden

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os
from pathlib import Path
from paredown.api.unguarded import script_hidden
from paredown.trials.workers import Workers

with Path("begun").open("a") as file:
    file.write("again\\n")
with script_hidden(), Workers(1) as workers:
    print(workers.run(os.getpid) != os.getpid())
"""


def test_a_script_runs_once(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "True\n", done.stderr
    assert (tmp_path / "begun").read_text() == "again\n"


def test_the_main_module_comes_back_and_keeps_its_names() -> None:
    main = sys.modules["__main__"]
    with script_hidden():
        with script_hidden():
            hidden = sys.modules["__main__"]
            assert not hasattr(hidden, "__file__")
            assert hidden.__spec__ is None
        assert sys.modules["__main__"] is hidden
        assert hidden.__builtins__ is main.__builtins__
    assert sys.modules["__main__"] is main
