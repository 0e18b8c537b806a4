"""Every command of README and docs is executed: here on tiny models, and on the bundled ones by the slow tests beside this file."""

import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paredown.cli import main
from paredown.data import bundled
from tests.commands.tiny import write_model, write_split
from tests.docs import places
from tests.docs.commands import ROOT, Command, commands
from tests.docs.scratch import Scratch, split
from tests.models.checkpoints import asr_config, write_checkpoint

SPLITS = {"analysis": 4, "search": 5, "test": 6}  # utterances: another number is other data
STUDY = """
name = "quickstart"
model = { path = "bundled:tatoeba-en-de" }
[space]
bits = { average = [2.5, 8.0] }
layers = { decoder = [2, 4], rule = "middle" }
[search]
trials = 4
"""
NOT_RUN = places.ELSEWHERE | places.ELSEWHERE_FAST | places.NOT_HERE
OURS = tuple(each for each in commands() if each.is_ours and each.text not in NOT_RUN)


def write_asr_model(folder: Path) -> Path:
    return write_checkpoint(folder, asr_config(token_list=["<blank>", "<unk>", "<space>", *"abcdefghijk", "<sos/eos>"]))


def write_place(place: Path) -> Path:
    """Everything that commands take and none of them makes."""
    for name, write in (("tatoeba-en-de", write_model), ("tatoeba-en", write_asr_model)):
        write(place / "bundled" / name / "model")
        for part, utterances in SPLITS.items():
            write_split(place / "bundled" / name / part, utterances)
    (write_split(place / "speech", utterances=1) / "0.wav").rename(place / "speech.wav")
    (place / "src").symlink_to(ROOT / "src")
    (place / "studies").mkdir()
    (place / "studies" / "quickstart.toml").write_text(STUDY)
    return place


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    place = write_place(tmp_path_factory.mktemp("docs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(bundled, "_ROOT", place / "bundled")
        patch.chdir(place)
        yield Scratch(place, OURS, places.FAST, lambda line: main(split(line)))


@pytest.mark.parametrize("command", OURS, ids=lambda command: command.text)
def test_it_runs(command: Command, scratch: Scratch, capsys: pytest.CaptureFixture[str]) -> None:
    assert scratch.execute(command) == 0, capsys.readouterr().err


def test_every_command_has_a_place() -> None:
    """What is not run here is a benchmark, another test's, or cannot be run; and no table names what nobody tells."""
    told = {command.text for command in commands()}
    others = {each.text for each in commands() if not each.is_ours} - set(places.ELSEWHERE) - set(places.NOT_HERE)
    benchmarks = {f"tests.benchmarks.bench_{name}" for name in places.SMALLEST | places.BENCHMARKS_WHOLE}
    recipe = {"studies.bundled_model.score"}
    assert {text for text in others if not text.startswith("python -m ") or text.split()[2] not in benchmarks | recipe} == set()
    assert sorted(set(NOT_RUN) - told) == []


@pytest.mark.parametrize("test", sorted({*places.ELSEWHERE.values(), *places.ELSEWHERE_FAST.values()}))
def test_the_other_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert (ROOT / file).is_file()
    assert not name or f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(places.SMALLEST | places.BENCHMARKS_WHOLE))
def test_the_benchmark_exists(name: str) -> None:
    assert importlib.util.find_spec(f"tests.benchmarks.bench_{name}") is not None


def test_make_study_is_made_of_commands_that_run(scratch: Scratch, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = subprocess.run(["make", "-n", "study"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [f"paredown {line}" for line in re.findall(r"bin/paredown (.+)", recipe)]
    assert len(lines) >= 3
    for number, line in enumerate(lines):
        assert scratch.execute(Command(line, ROOT / "Makefile", number)) == 0, capsys.readouterr().err


@pytest.mark.parametrize(("changes", "elsewhere"), [(places.FAST, NOT_RUN), (places.SLOW, places.ELSEWHERE | places.NOT_HERE)])
def test_substitutions_change_what_they_say(changes: tuple[places.Change, ...], elsewhere: dict[str, str], tmp_path: Path) -> None:
    """A substitution that no command needs any more is out of date."""
    texts = [each.text for each in commands() if each.is_ours and each.text not in elsewhere]
    assert [change.part for change in changes if not any(applies(change, changes, text, tmp_path) for text in texts)] == []


def applies(change: places.Change, changes: tuple[places.Change, ...], text: str, place: Path) -> bool:
    before = Scratch(place, (), changes[: changes.index(change)], lambda line: 0).line(text)
    return re.search(change.part, before) is not None
