"""A real page server, and a real Chromium that looks at it."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.ui.clicks import (
    HOSTILE,
    LONG,
    ROOT,
    draw_failures,
    find,
    new_page,
    wait_for_run,
    wait_for_stage,
)

AUDIT = Path(__file__).parent / "audit"
SCREENSHOTS = ROOT / "screenshots"
WIDTHS = {1440: 900, 800: 1000}
expect.set_options(timeout=180_000)  # of what a machine that is not idle takes longer to show


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

    def read_loaded_files(self) -> str:
        return Path(f"/proc/{self.process.pid}/maps").read_text()


@pytest.fixture(scope="session")
def chromium_path():
    result = subprocess.run(
        [ROOT / "tests" / "ui" / "find_chromium"], capture_output=True, text=True, check=False
    )
    if result.returncode:
        pytest.exit(result.stderr, returncode=1)
    return result.stdout.strip()


@pytest.fixture(scope="package")
def chromium(chromium_path):
    """Run Chromium for the page's tests alone: the event loop that goes with it disturbs others."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            timeout=LONG,
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def serve(features, tmp_path_factory):
    """Return a context manager that starts a page server with these options."""

    @contextmanager
    def start(runs: Path, *options: object):
        network = tmp_path_factory.mktemp("network") / "log"
        environment = os.environ | {
            "SAFE_CACHE": str(features),
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
            output = []
            for line in process.stdout:
                output.append(line)
                if address := re.search(r"http://\S+", line):
                    break
            else:
                pytest.fail(f"the page did not come up: {''.join(output)}")
            try:
                yield Server(process, address[0], runs, network)
            finally:
                process.terminate()
                rest, _ = process.communicate(timeout=LONG / 1000)
        # Gradio itself raises a 404 for the events of a page that was closed meanwhile.
        tracebacks = rest.split("ERROR:    Exception in ASGI application")
        ours = [text for text in tracebacks if not ("in sse_stream" in text and "404: Not" in text)]
        assert "Traceback" not in "".join(ours), rest
        assert not network.exists(), f"left the machine: {network.read_text()}"

    return start


@pytest.fixture(scope="package")
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
        page = new_page(chromium, viewport=size, **options)
        contexts.append(page.context)
        own = ("{0.scheme}://{0.netloc}/".format(urlsplit(url)), "data:", "blob:")
        page.on(
            "request", lambda request: request.url.startswith(own) or foreign.append(request.url)
        )
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
            page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
            page.screenshot(path=SCREENSHOTS / f"{name}-{width}.png")
            assert page.evaluate("document.documentElement.scrollWidth") <= width

    return take


@pytest.fixture
def failures(tmp_path):
    return draw_failures(tmp_path / f"failures {os.urandom(4).hex()}")


@pytest.fixture(scope="package")
def hostile_folder(server, chromium, tmp_path_factory):
    """Return a folder whose names are hostile and whose files are not all usable, and its run."""
    images = draw_failures(tmp_path_factory.mktemp("mixed") / f"{HOSTILE[0]} {HOSTILE[1]}")
    for number, name in enumerate(HOSTILE):
        (images / f"flat {2 * number}.png").rename(images / f"{name}.png")
        (images / f"{name}.jpg").write_text("no image")
    whole = (images / "ramp 3.png").read_bytes()
    (images / "half.png").write_bytes(whole[: len(whole) // 2])
    (images / "empty.png").write_bytes(b"")
    (images / "page.html").write_text("<script>window.hit = 5</script>")
    page = new_page(chromium)
    page.goto(server.url)
    find(page, images)
    wait_for_run(page, images.name)
    assert page.evaluate("window.hit") is None
    page.context.close()
    return images, server.runs / images.name


@pytest.fixture(scope="package")
def example(server, chromium, small_example):
    """Click "Try the example" on a fresh page, reload it in mid-job, and return the run.

    Drawing the whole example is stopped; a smaller one that is there already is taken.
    """
    page = new_page(chromium)
    page.goto(server.url)
    page.get_by_role("button", name="Try the example").click()
    wait_for_stage(page, "Drawing eyes")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.locator("#job")).to_contain_text("step 1 of 3")
    page.reload()
    wait_for_stage(page, "Drawing eyes")
    expect(page.get_by_role("button", name="Find root cause clusters")).to_be_disabled()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#job")).to_contain_text("Stopped.", timeout=LONG)
    shutil.copytree(small_example, server.runs / "example-eyes", dirs_exist_ok=True)
    page.get_by_role("button", name="Try the example").click()
    wait_for_stage(page, "Extracting features")
    page.reload()
    wait_for_run(page, "example")
    page.context.close()
    return server.runs / "example"
