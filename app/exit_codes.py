"""How a command of `SAFE_Tool.py` ends: its exit code, and the starts of its error messages."""

STOPPED = 130
"""The exit code of a job that was stopped."""
FAULT = "This is a fault of the tool, not of your files"
"""The start of a message on a fault of the tool, which no user can correct."""
ERROR = "Error: "
"""The start of the one line that says what is wrong."""
