"""The commands, one module for each noun they act on. A module has `add(subparsers)`, which declares its commands.

Everything heavy is imported inside the function that runs, so that `paredown --help` and `paredown translate` start at once.
"""

from paredown.commands import (
    analyse,
    bundles,
    compare,
    confirm,
    dashboard,
    doctor,
    evaluate,
    finish,
    fronts,
    init,
    profile,
    report,
    run,
    schema,
    show,
    translate,
)

COMMANDS = (
    doctor,
    init,
    run,
    fronts,
    finish,
    confirm,
    show,
    bundles,
    report,
    dashboard,
    analyse,
    evaluate,
    compare,
    profile,
    translate,
    schema,
)
