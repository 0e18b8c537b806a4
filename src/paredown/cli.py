"""The command line: parse, call, print. Exit code 0, 1 (failed) or 2 (bad input, one line on stderr)."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from paredown import __version__
from paredown.commands import COMMANDS
from paredown.errors import BadInput
from paredown.search.signals import StoppedBySignal, stoppable

MODELS_EXTRA = ("torch", "espnet", "espnet2", "yaml", "librosa", "torch_complex", "typeguard", "humanfriendly")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
RESUMED = ("run", "confirm", "finish")  # a study, or what is recorded beside it
INSTALL = "pip install 'paredown[models]', then pip install --no-deps espnet==202511"


class Parser(argparse.ArgumentParser):
    """Refuses a command line in one line, as everything else is refused."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see {self.prog} --help)")


def parser() -> Parser:
    """The parser with every command; each command's module says what it does and takes."""
    top = Parser(prog="paredown", description="Hardware-aware compression search for ESPnet speech models.")
    top.add_argument("--version", action="version", version=f"paredown {__version__}")
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(subparsers)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. A signal that stops it lets it end in order: workers end, files are whole."""
    command = None
    try:
        with stoppable():
            options = parser().parse_args(arguments)
            command = options.command
            return int(options.run(options) or 0)
    except BadInput as error:
        print(f"paredown: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in MODELS_EXTRA:
            raise
        print(f"paredown: checkpoints need torch and espnet, {error.name} is missing: {INSTALL}", file=sys.stderr)
        return 2
    except StoppedBySignal as stop:
        with suppress(OSError):  # the terminal may be closed
            goes_on = ", the same command goes on" if command in RESUMED else ""
            print(f"paredown: {stop}; what was finished is kept{goes_on}", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("paredown: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output (head, less) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        print(f"paredown: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
