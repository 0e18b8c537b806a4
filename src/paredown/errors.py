"""The one error that means "the input is wrong, not the program"."""


class BadInput(ValueError):
    """The user's input breaks a rule. The message is one line: the rule and the value that breaks it; the command line exits with 2."""
