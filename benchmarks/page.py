"""The page: time until it is ready, its longest pauses, and its memory.

The obvious alternative is Gradio's own gallery with all thumbnails of the run.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from pipelines.clusters.clusters import RootCauseClusters, measure_centre_distances, write_clusters
from pipelines.clusters.pictures import draw_clusters
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest

ROOT = Path(__file__).resolve().parents[1]
CLUSTERS = 150
SIZES = (1000, 5000, 20000)
STEPS = 40
GALLERY = """
import sys
from pathlib import Path
import gradio as gr
with gr.Blocks(analytics_enabled=False) as blocks:
    gallery = gr.Gallery(columns=8)
    blocks.load(lambda: sorted(map(str, Path(sys.argv[1]).glob("*.jpg"))), None, gallery)
blocks.launch(prevent_thread_lock=True, ssr_mode=False, quiet=True, allowed_paths=[sys.argv[1]])
print("The page is at", blocks.local_url, flush=True)
blocks.block_thread()
"""
FRAMES = """() => {
    window.pauses = [];
    let last = performance.now();
    const frame = (now) => {
        window.pauses.push(now - last);
        last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""


def write_run(folder: Path, images: Path, count: int, seed: int) -> None:
    """Write a run of `count` small images in 150 clusters and noise, in the same way as a job.

    Labels and features are random; the pictures, thumbnails and files are real.
    """
    rng = np.random.default_rng(seed)
    images.mkdir(parents=True)
    labels = rng.geometric(0.03, count) % (CLUSTERS + 1) - 1
    labels[: CLUSTERS + 1] = np.arange(-1, CLUSTERS)
    points = rng.normal(0, 1, (count, 50)).astype(np.float32)
    points[:, :2] += rng.normal(0, 4, (CLUSTERS + 1, 2))[labels]
    for number in range(count):
        colours = rng.integers(0, 256, (2, 3, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((48, 32)).save(images / f"{number:05d}.png")
    clusters = RootCauseClusters(
        paths=tuple(f"{number:05d}.png" for number in range(count)),
        digests=tuple(
            hashlib.sha256((images / f"{number:05d}.png").read_bytes()).hexdigest()
            for number in range(count)
        ),
        labels=labels.astype(np.int32),
        core=labels >= 0,
        silhouettes=np.zeros(count, np.float32),
        centre_distances=measure_centre_distances(points, labels),
        places=points[:, :2],
    )
    manifest = Manifest(
        job="cluster",
        command=[],
        folder=str(images),
        parameters={},
        result={
            "clusters": CLUSTERS,
            "noise": int((labels < 0).sum()),
            "noise_share": float((labels < 0).mean()),
            "inspection_share": 5 * CLUSTERS / count,
        },
    )
    with open_run(folder, manifest, lambda *step: None) as run:
        write_clusters(run.folder, clusters)
        draw_clusters(images, clusters, run.folder, run.progress)


@contextmanager
def serve(*command: object) -> Iterator[tuple[str, float, int]]:
    """Start a page server; yield its address, the seconds until it answered, and its pid."""
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = (re.search(r"http://\S+", line) for line in process.stdout)
        url = next(match[0] for match in lines if match)
        urllib.request.urlopen(url).close()
        yield url, time.perf_counter() - start, process.pid
        process.terminate()


def measure_memory(pid: int) -> float:
    """Return the highest resident memory of a process so far, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    match = re.search(r"VmHWM:\s+(\d+)", status)
    assert match is not None
    return int(match[1]) / 1024


def longest_pause(page: Page) -> float:
    """Return the longest time between two frames since the last call, in milliseconds."""
    return float(
        page.evaluate(
            "() => { const p = Math.max(...window.pauses); window.pauses = []; return p; }"
        )
    )


def browse(page: Page, url: str) -> dict[str, float]:
    """Open the run, walk over tiles, turn pages and hover the map; return milliseconds."""
    start = time.perf_counter()
    page.add_init_script(f"({FRAMES})()")
    page.goto(url)
    page.locator(".tile").first.wait_for()
    page.wait_for_function("document.querySelector('.tile img').complete")
    result = {
        "first tile": 1000 * (time.perf_counter() - start),
        "pause, opening": longest_pause(page),
    }
    page.locator(".tile").first.click()
    for _ in range(STEPS):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(20)
    result["pause, 40 tiles"] = longest_pause(page)
    start = time.perf_counter()
    page.keyboard.press("End")
    page.wait_for_function(
        "document.querySelector('.gif img').src.endsWith('noise.gif') && "
        "[...document.querySelectorAll('.thumb img, .gif img')].every((image) => image.complete)"
    )
    result["pictures of the last"] = 1000 * (time.perf_counter() - start)
    later = page.get_by_role("button", name="Later images")
    for _ in range(STEPS):
        if later.is_enabled():
            later.click()
    result["pause, pages of images"] = longest_pause(page)
    box = page.locator("canvas").bounding_box()
    assert box is not None
    for step in range(STEPS):
        page.mouse.move(box["x"] + box["width"] * step / STEPS, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.up()
    result["pause, map"] = longest_pause(page)
    return result


def browse_gallery(page: Page, url: str, count: int) -> dict[str, float]:
    """Open Gradio's gallery of all thumbnails; return milliseconds until they are there."""
    start = time.perf_counter()
    page.add_init_script(f"({FRAMES})()")
    page.goto(url)
    page.wait_for_function(
        f"document.querySelectorAll('.grid-container button').length >= {count}", timeout=300_000
    )
    return {
        "first tile": 1000 * (time.perf_counter() - start),
        "pause, opening": longest_pause(page),
    }


def main() -> None:
    """Print a line a size."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    browser_path = subprocess.run(
        [ROOT / "tests" / "ui" / "find_chromium"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        for count in SIZES:
            runs = Path(place, str(count))
            write_run(runs / "large", Path(place, f"images {count}"), count, seed=0)
            with serve("SAFE_Tool.py", "--no-browser", "--runs", runs) as (url, up, pid):
                ours = browse(browser.new_page(viewport={"width": 1440, "height": 900}), url)
                ours |= {"up": 1000 * up, "memory": measure_memory(pid)}
            with serve("-c", GALLERY, runs / "large" / "thumbnails") as (url, up, pid):
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                theirs = browse_gallery(page, url, count)
                theirs |= {"up": 1000 * up, "memory": measure_memory(pid)}
            print(f"{count} images", flush=True)
            for name, value in ours.items():
                unit = "MiB" if name == "memory" else "ms"
                line = f"  {name:24}{value:8.0f} {unit}"
                if name in theirs:
                    line += (
                        f"   gallery {theirs[name]:8.0f} {unit}   ratio {theirs[name] / value:.1f}"
                    )
                print(line, flush=True)
        browser.close()


if __name__ == "__main__":
    main()
