"""The Confusion and bias tab as its user meets it, from a classifier to causes of a confusion."""

import csv
import os
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from pipelines.deepinspect.results import read_matrices
from pipelines.runs.files import read_csv
from tests.pipelines.deepinspect.colours import NAMES, draw, save_model
from tests.ui.clicks import LONG, new_page, open_tab, unfold

MODEL = "Keras model of the classifier"
IMAGES = "Folder of images to inspect it with"
HOSTILE = "<img src=x onerror=window.hit=1>"
TAB = "Confusion and bias"
CAUSES = "Find the root causes of this confusion"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Save the DNN of the job's tests."""
    return save_model(tmp_path_factory.mktemp("classifier") / "dnn.keras")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected") / f"colours {os.urandom(4).hex()}"
    draw(folder, per_class=30, spread=35)
    (folder / "pink").rename(folder / HOSTILE.replace("/", ""))
    return folder


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """Return a file with the classes; pink is called by a name that is HTML."""
    file = tmp_path_factory.mktemp("names") / "names.txt"
    file.write_text("\n".join(HOSTILE if name == "pink" else name for name in NAMES))
    return file


def fill(page, model, images, names=None):
    open_tab(page, TAB)
    page.get_by_label(MODEL).fill(str(model))
    box = page.get_by_label(IMAGES)
    box.fill(str(images))
    box.press("Enter")
    if names:
        unfold(page, "Options")
        page.get_by_label("Names of the classes").fill(str(names))


@pytest.fixture(scope="module")
def inspection(server, chromium, model, images, names):
    """Give a model and images to the page, and return the inspection."""
    page = new_page(chromium)
    page.goto(server.url)
    fill(page, model, images, names)
    line = page.locator("#inspect-command textarea")
    expect(line).to_have_value(re.compile(r"inspect .*--classes"))
    page.get_by_role("button", name="Inspect", exact=True).click()
    expect(page.locator(".ranked tbody tr").first).to_be_visible(timeout=LONG)
    assert page.evaluate("window.hit") is None
    page.context.close()
    return server.runs / f"{images.name}-inspection"


@pytest.fixture
def looking(inspection, server, visit):
    page = visit(server.url)
    open_tab(page, TAB)
    box = page.get_by_label("Open an inspection")
    expect(box).to_have_value(re.compile("inspection"))
    box.fill(str(inspection))
    box.press("Enter")
    expect(page.locator("#confusion h2")).to_have_text(inspection.name)
    expect(page.locator(".pair h3")).to_be_visible()
    return page


def name_pair(row):
    return f"{row['class_a']} \N{EN DASH} {row['class_b']}"


def read_pair_names(page):
    return [
        page.locator(".ranked tbody tr").nth(place).locator("button").inner_text()
        for place in range(page.locator(".ranked tbody tr").count())
    ]


def test_pairs_are_ranked_by_confusion_and_by_bias(looking, inspection):
    rows = read_csv(inspection / "confusion.csv")
    assert read_pair_names(looking) == [name_pair(row) for row in rows]
    count_below = sum(row["below_one_sd"] == "1" for row in rows)
    expect(looking.locator(".ranked tr.flagged")).to_have_count(count_below)
    expect(looking.locator(".ranked > p").first).to_contain_text(f"{count_below} pair")
    looking.get_by_role("button", name="Bias", exact=True).click()
    rows = read_csv(inspection / "bias.csv")
    assert read_pair_names(looking) == [name_pair(row) for row in rows]
    row = rows[0]
    expect(looking.locator(".ranked tbody tr").first).to_contain_text(
        f"{row['third_1']} sides with {row['nearer_1']}"
    )
    assert looking.evaluate("window.hit") is None


def test_the_heat_map_shows_the_distances_and_chooses_pairs(looking, inspection):
    size = len(NAMES)
    order = [int(row["place"]) for row in read_csv(inspection / "classes.csv")]
    matrix = read_matrices(inspection)["confusion"]
    heat = looking.locator(".pairs canvas").first
    side = heat.evaluate("c => Math.min(c.clientWidth, c.clientHeight)") - 2
    box = heat.bounding_box()
    near = np.unravel_index(np.argmin(matrix + 9 * np.eye(size)), matrix.shape)
    far = np.unravel_index(np.argmax(matrix), matrix.shape)
    # Along the last row of cells, what is left of the first one is text.
    row = read_pixels(heat, 0, side - 3, side, 1)
    margin = first_cell(row)
    cell = (side - margin) / size
    colour = {}
    for name, (a, b) in (("near", near), ("far", far)):
        x, y = (margin + cell * (order[place] + 0.5) for place in (b, a))
        colour[name] = read_pixels(heat, int(x) + 3, int(y) + 3, 1, 1)[0, :3].sum()
    assert colour["near"] > colour["far"]
    x, y = (margin + cell * (order[place] + 0.5) for place in (far[1], far[0]))
    looking.mouse.move(box["x"] + x, box["y"] + y)
    expect(looking.locator(".pairs figcaption").first).to_contain_text("about")
    looking.mouse.click(box["x"] + x, box["y"] + y)
    class_names = [HOSTILE if NAMES[place] == "pink" else NAMES[place] for place in sorted(far)]
    expect(looking.locator(".pair h3")).to_have_text(f"{class_names[0]} and {class_names[1]}")


def read_pixels(canvas, x, y, width, height):
    pixels = canvas.evaluate(
        "(c, at) => Array.from(c.getContext('2d').getImageData(...at).data)", [x, y, width, height]
    )
    return np.array(pixels).reshape(-1, 4)


def first_cell(row):
    """Return where the longest stretch of opaque pixels begins."""
    opaque = row[:, 3] == 255
    begins = np.flatnonzero(opaque & ~np.append(False, opaque[:-1]))
    ends = np.flatnonzero(opaque & ~np.append(opaque[1:], False))
    return int(begins[np.argmax(ends - begins)])


def test_a_chosen_pair_shows_both_classes_and_their_confusions(looking, inspection, images):
    row = next(row for row in read_csv(inspection / "confusion.csv") if int(row["images"]))
    name = name_pair(row)
    looking.locator(".ranked tbody button", has_text=name).first.click()
    expect(looking.locator(".pair h3")).to_have_text(f"{row['class_a']} and {row['class_b']}")
    expect(looking.locator(".pair h4").nth(1)).to_have_text(
        f"Confused: {row['images']} image{'s' if row['images'] != '1' else ''}"
    )
    pair = {row["class_a"], row["class_b"]}
    wrong = [
        image["path"]
        for image in read_csv(inspection / "predictions.csv")
        if {image["predicted"], image["expected"]} == pair
    ]
    tiles = looking.locator(".pair .side").nth(1).locator("figure")
    assert {tile.get_attribute("title") for tile in tiles.all()} == set(wrong)
    for side, name in ((0, row["class_a"]), (2, row["class_b"])):
        expect(looking.locator(".pair .side").nth(side).locator("figure").first).to_be_visible()
        heading = looking.locator(".pair h4").nth(side)
        expect(heading).to_have_text(f"Correctly classified as {name}")
    picture = looking.locator(".pair img").first
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_labels_judge_the_ranking(looking, inspection, shoot):
    summary = looking.locator(".against summary")
    expect(summary).to_contain_text("of 10 pairs are true errors (Type 1 confusion")
    cells = looking.locator(".against tbody tr").first.locator("td").all_inner_texts()
    rows = read_csv(inspection / "confusion.csv")
    first_rows = [row for row in rows if row["below_one_sd"] == "1"]
    right = sum(row["true_error"] == "1" for row in first_rows)
    assert cells[1:3] == [str(right), str(len(first_rows) - right)]
    expect(looking.locator(".against")).to_contain_text("AUCEC")
    expect(looking.locator(".against")).to_contain_text("Spearman")
    shoot(looking, "confusion")


def test_one_click_finds_the_root_causes_of_a_confusion(looking, inspection, server):
    rows = [row for row in read_csv(inspection / "confusion.csv") if int(row["images"]) > 2]
    row = rows[0]
    name = name_pair(row)
    looking.locator(".ranked tbody button", has_text=name).first.click()
    expect(looking.locator(".pair code")).to_contain_text("pairs/")
    source = Path(looking.locator(".pair code").inner_text())
    looking.get_by_role("button", name=CAUSES).click()
    out = server.runs / f"{inspection.name}-{source.stem}"
    expect(looking.locator("#causes")).to_contain_text(
        f"root causes are in {out.name}", timeout=LONG
    )
    paths = source.read_text().splitlines()[1:]
    assert sorted(image["path"] for image in read_csv(out / "images.csv")) == sorted(paths)
    report = (out / "report.html").read_text()
    assert "The images come from one confusion" in report
    assert HOSTILE not in report
    open_tab(looking, "Clusters")
    expect(looking.locator("#clusters h2")).to_have_text(out.name)
    assert looking.evaluate("window.hit") is None


def test_distances_of_another_framework_are_inspected(server, visit, tmp_path):
    rng = np.random.default_rng(0)
    points = 1000 * rng.normal(size=(45, 3))
    folder = tmp_path / "exported"
    folder.mkdir()
    with (folder / "distances.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("class", "class", "distance"))
        for a in range(45):
            writer.writerows(
                (f"class {a}", f"class {b}", np.linalg.norm(points[a] - points[b]))
                for b in range(a)
            )
    page = visit(server.url)
    open_tab(page, TAB)
    unfold(page, "Distances from another framework")
    page.get_by_label("Table of distances").fill(str(folder / "distances.csv"))
    page.get_by_role("button", name="Inspect", exact=True).click()
    expect(page.locator("#confusion h2")).to_have_text("exported-inspection", timeout=LONG)
    expect(page.locator(".ranked tbody tr")).to_have_count(200)
    expect(page.locator(".ranked .legend")).to_contain_text("790 more pairs")
    cells = page.locator(".ranked tbody td:nth-child(3)").all_inner_texts()
    rows = read_csv(server.runs / "exported-inspection" / "confusion.csv")[: len(cells)]
    for cell, row in zip(cells, rows, strict=True):
        assert float(cell) == pytest.approx(float(row["napvd"]), rel=1e-3)
    expect(page.locator(".pair .legend")).to_contain_text("have no images")
    expect(page.locator(".pair h4")).to_have_count(0)
    expect(page.get_by_role("button", name=CAUSES)).to_have_count(0)


def test_options_that_cannot_be_used_give_an_error(server, visit, images, tmp_path):
    page = visit(server.url)
    open_tab(page, TAB)
    error = page.locator("#job .error")
    find = page.get_by_role("button", name="Inspect", exact=True)
    find.click()
    expect(error).to_contain_text("Give the model file of the classifier")
    (tmp_path / "text.keras").write_text("no model")
    fill(page, tmp_path / "text.keras", images)
    find.click()
    expect(error).to_contain_text("text.keras is no Keras model file", timeout=LONG)
