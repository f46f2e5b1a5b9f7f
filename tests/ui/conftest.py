"""A real page server, and a real Chromium that looks at it."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
AUDIT = Path(__file__).parent / "audit"
SCREENSHOTS = ROOT / "screenshots"
WIDTHS = {1440: 900, 800: 1000}
expect.set_options(timeout=20_000)  # of what a machine that is not idle takes longer to show


@dataclass
class Server:
    """A page server in a process of its own; `network` names what it reached off this machine."""

    process: subprocess.Popen
    url: str
    runs: Path
    network: Path

    def peak_memory_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def loaded(self) -> str:
        return Path(f"/proc/{self.process.pid}/maps").read_text()


@pytest.fixture(scope="session")
def chromium_path():
    done = subprocess.run(
        [ROOT / "tests" / "ui" / "find_chromium"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.exit(done.stderr, returncode=1)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def chromium(chromium_path):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def serve(warm_cache, tmp_path_factory):
    """Return a context manager that starts a page server with the options given."""

    @contextmanager
    def start(runs: Path, *options: object):
        network = tmp_path_factory.mktemp("network") / "log"
        environment = os.environ | {
            "SAFE_CACHE": str(warm_cache),
            "PYTHONPATH": str(AUDIT),
            "NETWORK_LOG": str(network),
        }
        command = [sys.executable, "SAFE_Tool.py", "--no-browser", "--runs", runs, *options]
        with subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            said = []
            for line in process.stdout:
                said.append(line)
                if found := re.search(r"http://\S+", line):
                    break
            else:
                pytest.fail(f"the page did not come up: {''.join(said)}")
            try:
                yield Server(process, found[0], runs, network)
            finally:
                process.terminate()
                rest, _ = process.communicate(timeout=60)
        # Gradio itself raises a 404 for the events of a page that was closed meanwhile.
        raised = rest.split("ERROR:    Exception in ASGI application")
        ours = [text for text in raised if not ("in sse_stream" in text and "404: Not" in text)]
        assert "Traceback" not in "".join(ours), rest
        assert not network.exists(), f"left the machine: {network.read_text()}"

    return start


@pytest.fixture(scope="session")
def server(serve, tmp_path_factory):
    with serve(tmp_path_factory.mktemp("page") / "runs") as running:
        yield running


@pytest.fixture
def visit(chromium):
    """Return a function that opens a page in a browser of its own; foreign requests fail the test.

    So do errors in the page's scripts.
    """
    contexts, foreign, errors = [], [], []

    def open_page(url: str, width: int = 1440, **options) -> Page:
        size = {"width": width, "height": WIDTHS.get(width, 900)}
        context = chromium.new_context(viewport=size, **options)
        contexts.append(context)
        page = context.new_page()
        own = ("{0.scheme}://{0.netloc}/".format(urlsplit(url)), "data:", "blob:")
        page.on("request", lambda sent: sent.url.startswith(own) or foreign.append(sent.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.wait_for_selector("#find")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not foreign
    assert not errors


@pytest.fixture
def shoot():
    """Return a function that takes a page's screenshots, and checks that nothing is cut off."""

    def take(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        for width, height in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(500)
            page.screenshot(path=SCREENSHOTS / f"{name}-{width}.png")
            assert page.evaluate("document.documentElement.scrollWidth") <= width

    return take
