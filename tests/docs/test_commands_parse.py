"""Commands and code of README and docs are spelt as the program takes them."""

import argparse
import ast
import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from paredown.cli import parser
from paredown.search.study_file import parse_spec
from tests.docs.commands import ROOT, Command, Fence, commands, fenced_commands, fences, inline_code, is_whole, pages

NAMED = tuple(dict.fromkeys(command.text for page in pages() for command in inline_code(page) if not is_whole(command)))
FENCES = tuple(fence for page in pages() for fence in fences(page))


def of(language: str) -> list[object]:
    return [pytest.param(fence, id=f"{fence.page.stem}:{fence.line}") for fence in FENCES if fence.language == language]


def of_start(start: str) -> list[Command]:
    return [command for command in commands() if command.text.startswith(start)]


def test_the_parser_of_fences_knows_comments_prompts_and_long_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "text `paredown doctor`\n```bash\nparedown front X   # told\nls\n# no command\nparedown export X \\\n    --pick knee -o Y\n```\n"
        "```console\n$ make study\nparedown is not run: output\n```\n```python\nparedown = 1\n```\n````\n```\nmake test\n````\n"
    )
    assert [command.text for command in fenced_commands(page)] == [
        "paredown front X",
        "paredown export X --pick knee -o Y",
        "make study",
        "make test",
    ]
    assert [(command.text, command.line) for command in inline_code(page)] == [("paredown doctor", 1)]


@pytest.mark.parametrize("command", of_start("paredown "), ids=lambda command: command.text)
def test_every_flag_exists(command: Command) -> None:
    parser().parse_args(command.words[1:])


@pytest.mark.parametrize("text", NAMED)
def test_what_is_named_in_passing_exists(text: str) -> None:
    """The beginning of a command, such as `paredown show STUDY --ablate`: the command and its flags are there."""
    _, name, *rest = text.split()
    known = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)).choices
    assert name in known or name == "COMMAND"
    if name in known:
        spelt = {flag for action in known[name]._actions for flag in action.option_strings}
        assert {word for word in rest if word.startswith("-")} <= spelt


@pytest.mark.parametrize("command", of_start("make "), ids=lambda command: command.text)
def test_every_target_exists(command: Command) -> None:
    done = subprocess.run(["make", "-n", *command.words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", of_start("python -m "), ids=lambda command: command.text)
def test_every_module_exists(command: Command) -> None:
    assert importlib.util.find_spec(command.words[2]) is not None


@pytest.mark.parametrize("fence", of("python"))
def test_python_compiles(fence: Fence) -> None:
    tree = ast.parse(fence.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, name.name) for name in node.names)


@pytest.mark.parametrize("fence", of("toml"))
def test_study_files_are_such(fence: Fence) -> None:
    """A whole one is read; of a part every table is, in a study that has what else it needs."""
    value = tomllib.loads(fence.text)
    text = fence.text
    if "name" not in value:
        text = 'name = "part"\nmodel = { path = "bundled:tatoeba-en-de" }\n' + text
    if "space" not in value:
        text += "\n[space]\nbits = { average = [3.0, 8.0] }\n"
    if "recovery" in value and "train" not in value.get("data", {}):
        text += '\n[data]\ntrain = "train"\n'
    parse_spec(text)


@pytest.mark.parametrize("fence", of("json"))
def test_json_is_such(fence: Fence) -> None:
    json.loads(re.sub(r"…", "", fence.text))
