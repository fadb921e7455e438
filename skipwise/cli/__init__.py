"""The command line: words → calls.

``main`` reads the words and imports the one command that they name; ``--help`` imports no torch.
Every error that a user can cause is one sentence on standard error, with exit code 2.
"""

from skipwise.cli.app import main

__all__ = ["main"]
