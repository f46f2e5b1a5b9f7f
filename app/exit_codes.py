"""How a command of `SAFE_Tool.py` ends: its exit code, and the beginnings of its error messages."""

STOPPED = 130
"""The exit code of a job that was stopped."""
FAULT = "This is a fault of the tool, not of your files"
"""The beginning of a message on a fault of the tool, which no user can mend."""
ERROR = "Error: "
"""The beginning of the one line that says what is wrong."""
