"""Writes every address off this machine that a Python process looks up or connects to.

Python imports a module of this name by itself at start; the tests put its folder on PYTHONPATH.
"""

import os
import sys
from pathlib import Path

HERE = ("127.", "localhost", "::1", "0.0.0.0")


def hook(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0] or ""
    else:
        return
    host = host.decode() if isinstance(host, bytes) else str(host)
    if host and not host.startswith(HERE):
        with Path(os.environ["NETWORK_LOG"]).open("a", encoding="utf-8") as file:
            file.write(f"{event} {host}\n")


sys.addaudithook(hook)
