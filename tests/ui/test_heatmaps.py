"""The Heatmaps tab as its user meets it: from a model and a test set to an unsafe set."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from playwright.sync_api import expect

from pipelines.dnn.keras import import_keras
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import read_manifest
from tests.heights import draw, save_model
from tests.ui.clicks import HOSTILE, LONG, ROOT, new_page, open_tab, unfold, wait_for_stage

MODEL = "Keras model of the DNN under analysis"
IMAGES = "Folder of labelled test images, or a test's failures.txt"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model") / "dnn.keras")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = draw(tmp_path_factory.mktemp("test set") / f"eyes {os.urandom(4).hex()}", 1, 60)
    for number, name in enumerate(HOSTILE):
        (folder / "left" / f"1_{2 * number + 1:02d}.png").rename(folder / "left" / f"{name}.png")
    return folder


def fill(page, model, images):
    open_tab(page, "Heatmaps")
    page.get_by_label(MODEL).fill(str(model))
    box = page.get_by_label(IMAGES)
    box.fill(str(images))
    box.press("Enter")


@pytest.fixture(scope="module")
def heatmap_run(server, chromium, model, images):
    """Give a model and a test set to the page, and return the run."""
    page = new_page(chromium)
    page.goto(server.url)
    fill(page, model, images)
    expect(page.locator("#heat-command textarea")).to_have_value(re.compile("failures.txt"))
    page.get_by_role("button", name="Find clusters by heatmaps").click()
    wait_for_stage(page, "step 1 of 2")
    wait_for_stage(page, "step 2 of 2")
    page.reload()
    wait_for_stage(page, "step 2 of 2")
    open_tab(page, "Heatmaps")
    expect(page.locator(".heat canvas").first).to_be_visible(timeout=LONG)
    expect(page.get_by_label("Open a run")).to_have_value(
        re.compile(f"^{re.escape(images.name)}-heatmaps")
    )
    assert page.evaluate("window.hit") is None
    page.context.close()
    return server.runs / f"{images.name}-heatmaps"


@pytest.fixture
def looking(heatmap_run, server, visit):
    page = visit(f"{server.url}?run={heatmap_run}")
    open_tab(page, "Heatmaps")
    expect(page.locator(".heat canvas").first).to_be_visible()
    return page


def pixels(page, place):
    """Return the colours of a heatmap, height x width x 4."""
    width, height, values = (
        page.locator("canvas[data-place]")
        .nth(place)
        .evaluate(
            "c => [c.width, c.height,"
            " Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)]"
        )
    )
    return np.array(values).reshape(height, width, 4)


def test_the_test_comes_first_and_its_failures_are_clustered(heatmap_run, server, images, looking):
    test = server.runs / f"{images.name}-test"
    failures = (test / "failures.txt").read_text().splitlines()[1:]
    assert sorted(row["path"] for row in read_csv(heatmap_run / "images.csv")) == sorted(failures)
    accuracy = read_manifest(test).result["accuracy"]
    facts = looking.locator("#heatmaps .facts")
    expect(facts).to_contain_text(f"right on {100 * accuracy:.1f} % of 60 test images")
    looking.get_by_text("What the DNN takes for what").click()
    picture = looking.get_by_alt_text("Confusion matrix of the test")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    rows = read_csv(heatmap_run / "layers.csv")
    looking.get_by_text(f"{len(rows)} layers searched").click()
    expect(looking.locator(".searched tbody tr")).to_have_count(len(rows))


def test_heatmaps_lie_over_the_images_of_a_cluster(looking, heatmap_run):
    rows = [row for row in read_csv(heatmap_run / "images.csv") if row["cluster"] == "0"]
    rows.sort(key=lambda row: float(row["distance_to_centre"]))
    captions = looking.locator(".heat figcaption").all_inner_texts()
    assert captions[0] == f"Mean of {len(rows)} images"
    assert set(captions[1:]) == {row["path"] for row in rows[:24]}
    paths = sorted(row["path"] for row in read_csv(heatmap_run / "images.csv"))
    files = {
        row["layer"]: row["file"] for row in read_csv(heatmap_run / "heatmaps" / "pictures.csv")
    }
    maps = np.load(heatmap_run / "heatmaps" / files["input"])[paths.index(captions[1])] / 127
    colours = pixels(looking, 1)
    assert np.abs(colours[..., 3] - 255 * 0.7 * np.sqrt(np.abs(maps))).max() < 1.01
    looking.get_by_label("Layer").select_option("conv")
    expect(looking.locator(".heat canvas").first).to_have_attribute("width", "22")
    looking.get_by_label("Strength").fill("0")
    assert not pixels(looking, 1)[..., 3].any()
    looking.get_by_label("Colours").select_option("Grey")
    mean = pixels(looking, 0)
    assert (mean[..., 3] == 255).all()
    assert (mean[..., 0] == mean[..., 1]).all() or (mean[..., 2] == 235).any()


def test_another_cluster_and_its_name(looking, heatmap_run):
    clusters = read_csv(heatmap_run / "clusters.csv")
    open_tab(looking, "Clusters")
    looking.locator(".tile[data-cluster='1']").click()
    looking.get_by_label("Name").fill("<i>low</i> spots")
    expect(looking.locator("#clusters .saved")).to_have_text("Saved")
    open_tab(looking, "Heatmaps")
    option = looking.get_by_label("Cluster", exact=True).locator("option[value='1']")
    expect(option).to_contain_text("<i>low</i> spots")
    looking.get_by_label("Cluster", exact=True).select_option("1")
    expect(looking.locator(".heat figcaption").first).to_have_text(
        f"Mean of {clusters[1]['size']} images"
    )


def test_two_runs_are_compared_on_the_images_they_share(
    looking, heatmap_run, server, images, features, shoot
):
    out = server.runs / "by appearance"
    image_list = server.runs / f"{images.name}-test" / "failures.txt"
    command = [sys.executable, "SAFE_Tool.py", "cluster", image_list, "--out", out]
    environment = os.environ | {"SAFE_CACHE": str(features)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    box = looking.get_by_label("Compare with the clusters of")
    box.fill(str(out))
    box.press("Enter")
    summary = looking.locator(".agreement summary")
    count = len(read_csv(heatmap_run / "images.csv"))
    expect(summary).to_contain_text(f"{count} images in common with by appearance")
    cells = looking.locator(".agreement tbody td:not(:first-child)").all_inner_texts()
    assert sum(int(cell) for cell in cells if cell) == count
    shoot(looking, "heatmaps")


def test_the_unsafe_set_is_selected_by_heatmaps(looking, heatmap_run, tmp_path):
    new = draw(tmp_path / "new", 5, 20)
    open_tab(looking, "Unsafe set")
    box = looking.get_by_label("Folder of new images, the improvement set")
    box.fill(str(new))
    box.press("Enter")
    unfold(looking, "How many images")
    looking.locator("#images-to-choose textarea").fill("5")
    looking.get_by_role("button", name="Select the unsafe set").click()
    expect(looking.locator(".group").first).to_be_visible(timeout=LONG)
    expect(looking.locator("#unsafe-set .facts")).to_contain_text("5 images of 20 are chosen")
    names = (heatmap_run / "IS_filenames.txt").read_text().splitlines()
    assert len(names) == 5
    thumbnails = looking.locator(".chosen .thumb[aria-pressed='true']").all()
    assert {thumb.get_attribute("aria-label") for thumb in thumbnails} == set(names)


def test_a_test_alone_says_how_good_the_dnn_is(server, visit, model, images):
    page = visit(server.url)
    fill(page, model, images)
    page.get_by_role("button", name="Only test the DNN").click()
    expect(page.locator("#job")).to_contain_text("of 60 images (95 % interval", timeout=LONG)
    expect(page.locator("#job")).to_contain_text("failures.txt")


def test_options_that_cannot_be_used_give_an_error(server, visit, model, images, tmp_path):
    page = visit(server.url)
    open_tab(page, "Heatmaps")
    error = page.locator("#job .error")
    find = page.get_by_role("button", name="Find clusters by heatmaps")
    find.click()
    expect(error).to_contain_text("Give the model file of the DNN")
    fill(page, tmp_path / "text.keras", images)
    (tmp_path / "text.keras").write_text("no model")
    find.click()
    expect(error).to_contain_text("text.keras is no Keras model file", timeout=LONG)
    keras, _ = import_keras()
    sneaky = save_model(tmp_path / "sneaky.keras", keras.layers.Lambda(lambda x: x + 0))
    fill(page, sneaky, images)
    find.click()
    expect(error).to_contain_text("is a Lambda layer", timeout=LONG)
    document = json.loads((server.runs / f"{images.name}-test" / "run.json").read_text())
    assert document["job"] == "test"
