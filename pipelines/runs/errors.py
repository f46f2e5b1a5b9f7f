"""The error that a user can correct."""


class InputError(Exception):
    """Raised when an input of the user cannot be used.

    The message names the input, and says what was expected, what was received and what to do.
    """
