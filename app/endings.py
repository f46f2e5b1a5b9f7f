"""How a command of `SAFE_Tool.py` ends, for whoever started it."""

STOPPED = 130
"""The exit code of a job that was stopped."""
ERROR = "Error: "
"""How the one line begins that says what is wrong."""
