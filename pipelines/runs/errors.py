"""The one error that is the user's to mend."""


class InputError(Exception):
    """Something that was given cannot be used.

    The message names it, says what was expected and what was received, and what to do.
    """
