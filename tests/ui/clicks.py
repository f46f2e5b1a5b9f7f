"""What several tests do on the page, and the images that they do it with."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from pipelines.clusters.clusters import NOISE
from pipelines.runs.files import read_csv

ROOT = Path(__file__).parents[2]
FOLDER = "Folder of images on which the DNN failed"
TIMES = {"run.json", "status.json", "report.html", ".lock"}
LONG = 600_000  # milliseconds that a whole job may take on a machine that is not idle


def new_page(chromium, **options):
    """Open a page in a context of its own, which waits for whatever a busy machine takes."""
    context = chromium.new_context(**options)
    context.set_default_timeout(LONG)
    return context.new_page()


def give(page, folder):
    box = page.get_by_label(FOLDER)
    box.fill(str(folder))
    box.press("Enter")


def settle(page):
    """Wait until what was just shown keeps what is typed into it.

    Gradio makes the fields of a tab or an accordion when it is first opened, and gives them their
    values a frame later, over whatever was typed meanwhile.  No user is so fast.
    """
    page.evaluate(
        """async () => {
            for (let frame = 0; frame < 6; frame++) await new Promise(requestAnimationFrame);
        }"""
    )


def open_tab(page, name):
    page.get_by_role("tab", name=name).click()
    settle(page)


def unfold(page, name):
    """Open the accordion of this name."""
    page.get_by_role("button", name=name).click()
    settle(page)


def find(page, folder):
    give(page, folder)
    expect(page.locator("#command textarea")).to_have_value(re.compile(re.escape(folder.name)))
    page.get_by_role("button", name="Find root cause clusters").click()


def wait_for_stage(page, stage):
    expect(page.locator("#job")).to_contain_text(stage, timeout=LONG)


def wait_for_run(page, name):
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=LONG)


def path_of_detail(page):
    return page.locator(".detail .path").inner_text()


def content(run):
    files = [file for file in run.rglob("*") if file.is_file() and file.name not in TIMES]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def draw_failures(folder, count=20):
    """Draw images of two kinds, that no other test has seen."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng()
    for number in range(count):
        ramp = np.linspace(0, 255, 64)[None, :, None] if number % 2 else np.full((1, 64, 1), 90)
        pixels = np.clip(ramp + rng.normal(0, 6, (48, 64, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{'ramp' if number % 2 else 'flat'} {number}.png")
    return folder


HOSTILE = ("<img src=x onerror=window.hit=1>", "${window.hit=2}", "`${window.hit=3}`", "{{this}}")


def order(run):
    """Return the clusters as they are to be shown: by family, by size within, noise last."""
    rows = [row for row in read_csv(run / "clusters.csv") if row["cluster"] != str(NOISE)]
    sizes = Counter()
    for row in rows:
        sizes[row["family"]] += int(row["size"])
    rows.sort(key=lambda row: (-sizes[row["family"]], int(row["family"]), -int(row["size"])))
    return [row["cluster"] for row in rows] + [str(NOISE)]
