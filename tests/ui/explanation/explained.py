"""A run with tables of parameters, and what several tests do with it on the page."""

import subprocess
import sys

import numpy as np
from playwright.sync_api import expect

from tests.ui.clicks import LONG, ROOT

HOSTILE = ("<img src=x onerror=window.hit=1>", "${window.hit=2}", "=`${window.hit=3}`")
SIZES = (16, 12, 10, 8, 6, 5)  # of clusters 0 to 5
NOISE = 7
FAMILIES = {1: 0, 2: 0, 0: 1, 3: 2, 4: 2, 5: 3}  # the largest has two clusters, and not cluster 0
TILE_ORDER = ["1", "2", "0", "3", "4", "5", "-1"]
OLDER = ("cluster", "name", "note", "size", "share", "cores", "silhouette", "hint", "central_image")


def labels_of():
    return np.repeat([*range(len(SIZES)), -1], [*SIZES, NOISE]).astype(np.int32)


def write_tables(folder):
    """Write what is known of the images: clusters share the yaw, and little else."""
    rng = np.random.default_rng(0)
    rows, labels = [], []
    for number, cluster in enumerate(labels_of()):
        yaw = f"{10 * cluster + rng.normal(0, 0.5):.2f}" if cluster >= 0 else f"{number % 40}"
        path = f"eye {number:02d}.png"
        turn = f"{rng.uniform(0, 360):.1f}"
        rows.append((path, yaw if number != 3 else "n/a", turn, HOSTILE[number % 3]))
        labels.append((path, "left", "right" if cluster % 2 else HOSTILE[0]))
    # Not the tool's own writer: it would guard what looks like a formula.
    tables = {
        "parameters.csv": [("path", "yaw", "turn", HOSTILE[1]), *rows],
        "labels.csv": [("path", "label", "prediction"), *labels],
        "unsafe_values.csv": [("parameter", "value", "side"), ("yaw", "40", "near"),
                              ("yaw", "-300", "at most"), ("turn", "180", "near")],
    }  # fmt: skip
    for name, lines in tables.items():
        (folder / name).write_text("".join(f"{','.join(line)}\n" for line in lines))


def explain(run, images):
    command = [sys.executable, "SAFE_Tool.py", "explain", run, "--angles", "turn"]
    for name in ("parameters.csv", "labels.csv"):
        command += ["--parameters", images / name]
    command += ["--unsafe-values", images / "unsafe_values.csv"]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, timeout=LONG / 1000)


def tile(page, cluster):
    return page.locator(f".tile[data-cluster='{cluster}']")


def choose(page, cluster):
    tile(page, cluster).click()
    expect(tile(page, cluster)).to_have_attribute("aria-selected", "true")


def colour_by(page, label):
    page.locator(".colouring select").select_option(label=label)


def pixels(page):
    """Return how many pixels of the canvas have each colour, opaque ones alone."""
    return page.locator("canvas").evaluate("""canvas => {
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const counts = {};
        for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] < 255) continue;
            const key = data.slice(i, i + 3).join();
            counts[key] = (counts[key] ?? 0) + 1;
        }
        return counts;
    }""")


def expect_saved(page):
    expect(page.locator(".saved")).to_have_text("Saved")
