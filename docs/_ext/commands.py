"""The directive `commands`: every command of the command line with its usage and options, from the parser itself."""

import argparse
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from paredown.cli import parser


class Commands(SphinxDirective):
    """A section for each command, in the order of `paredown --help`."""

    def run(self) -> list[nodes.Node]:
        return [node for name, about, command in commands() for node in self._section(name, about, command)]

    def _section(self, name: str, about: str, command: argparse.ArgumentParser) -> list[nodes.Node]:
        lines = [f"## {name}", "", f"{_sentence(about)}", "", "```text", usage(command), "```", "", "| argument | does |", "| --- | --- |"]
        lines += [f"| `{_cell(spelling)}` | {_cell(told)} |" for spelling, told in arguments(command)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def commands() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """(name, what it is for, its parser) of every command."""
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {choice.dest: choice.help or "" for choice in action._choices_actions}
            yield from ((name, about[name], command) for name, command in action.choices.items())


def usage(command: argparse.ArgumentParser) -> str:
    """As `--help` prints it, 88 columns wide whatever the terminal is."""
    formatter = argparse.HelpFormatter(command.prog, width=88)
    formatter.add_usage(command.usage, command._actions, command._mutually_exclusive_groups, prefix="")
    return re.sub(r"(?m)^ {4,}", "    ", formatter.format_help().strip())


def arguments(command: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """(spelling, help) of every argument but `--help`; choices are part of the spelling."""
    formatter = argparse.HelpFormatter(command.prog)
    for action in command._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        value = "" if action.nargs == 0 else formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
        spelling = ", ".join(f"{option} {value}".strip() for option in action.option_strings)
        told = formatter._expand_help(action) if action.help else ""
        yield spelling or str(action.metavar or action.dest), told


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _cell(text: str) -> str:
    """Help as it stands: `*`, `_`, `<` and `@` are no markup in it, and `|` does not end the cell."""
    return text.replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
