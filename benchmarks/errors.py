"""The one exception that means: the user can put this right."""

from __future__ import annotations

from backbones.naming import did_you_mean

__all__ = ["MissingDataError", "UserError", "did_you_mean"]


class UserError(Exception):
    """A mistake in the input: the command line shows its text as one line and exits with code 2.

    The text names the thing, the value that was given and what would be right.
    """


class MissingDataError(UserError):
    """A data set that is not where it should be.

    The first line of the text says all; the lines below it draw the folders, and the command line keeps them.
    """
