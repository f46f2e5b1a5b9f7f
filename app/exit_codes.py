"""How a command of `SAFE_Tool.py` ends, for whoever started it."""

STOPPED = 130
"""The exit code of a job that was stopped."""
FAULT = "This is a fault of the tool, not of your files"
"""How the words begin on what no user can mend."""
ERROR = "Error: "
"""How the one line begins that says what is wrong."""
