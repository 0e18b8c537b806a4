"""What `import paredown` loads (nothing), what it names, and that a type checker and a script see the same."""

import subprocess
import sys
from pathlib import Path

import pytest

import paredown

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "optuna", "onnxruntime", "numpy", "pydantic", "rich", "matplotlib", "plotly")

SCRIPT = """
import paredown

study = paredown.Study("runs/quickstart")
for point in study.front(budgets={"quality": "-1.0"}):
    reveal_type(point.values)
trial = study.pick("smallest", budgets={"quality": -1.0})
bundle = study.export(trial, "small", force=True)
reveal_type(trial)
reveal_type(bundle.size_bytes)
reveal_type(paredown.Translator.from_bundle(bundle.folder).translate("speech.wav"))
reveal_type(paredown.evaluate(bundle, "data").scores)
reveal_type(paredown.run("study.toml", time="5 min", tell=print))
reveal_type(study.finish())
"""
REVEALED = (
    "typing.Mapping[str, float]",
    "paredown.search.trial.Trial",
    "int",
    "paredown.runtime.translation.Translation",
    "dict[str, paredown.quality.scores.Score]",
    "paredown.api.study.Study",
    "paredown.search.final.Final",
)


def answer(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_import_loads_nothing() -> None:
    assert answer(f"import sys, paredown; print([name for name in {HEAVY} if name in sys.modules])") == "[]"


def test_a_study_is_read_without_torch() -> None:
    wanted = "paredown.Study, paredown.run, paredown.convert, paredown.evaluate, paredown.profile, paredown.Translator"
    assert answer(f"import sys, paredown; {wanted}; print([name for name in ('torch', 'optuna') if name in sys.modules])") == "[]"


@pytest.mark.parametrize("name", sorted(paredown._HOMES))
def test_every_name_is_there_and_documented(name: str) -> None:
    assert name in dir(paredown)
    assert getattr(paredown, name).__doc__


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'paredown' has no attribute 'runn'"):
        paredown.runn  # noqa: B018


def test_types_are_seen_by_a_users_type_checker(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    tree = ROOT / "build" / "typing"
    if not (tree / "paredown" / "api").exists():
        pytest.skip("make types builds the tree that mypy reads")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(script)],
        cwd=ROOT,
        env={"MYPYPATH": str(tree), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    revealed = [line.partition("Revealed type is ")[2].strip('"') for line in done.stdout.splitlines() if "Revealed type" in line]
    assert tuple(revealed) == REVEALED, done.stdout
    assert "error" not in done.stdout
