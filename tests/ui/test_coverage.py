"""The Coverage tab as its user meets it: from a model and test sets to images worth adding."""

import os
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from pipelines.runs.files import read_csv
from tests.heights import SIZE, draw, save_model
from tests.pipelines.deepimportance.measured import document_of
from tests.ui.clicks import HOSTILE, LONG, new_page, open_tab, unfold

MODEL = "Keras model whose tests are measured"


def fill(page, model, folders):
    open_tab(page, "Coverage")
    page.get_by_label(MODEL).fill(str(model))
    for label, name in (
        ("Folder of training images", "training"),
        ("Folder of the test set", folders["test"].name),
    ):
        box = page.get_by_label(label)
        box.fill(str(folders["test"].parent / name))
        box.press("Enter")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model") / "dnn.keras")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("coverage")
    sets = {
        "training": draw(root / "training", 1, 120),
        "test": draw(root / f"test {os.urandom(3).hex()}", 2, 40),
        "noisy": draw(root / "<b>noisy", 6, 20),
        "new": draw(root / "new", 4, 30),
    }
    rng = np.random.default_rng(7)
    for number in range(40):  # unlike any other
        pixels = rng.integers(0, 256, (2 + number % 5, 2 + number % 4, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize(SIZE).save(root / "new" / f"odd {number:02d}.png")
    for number, name in enumerate(HOSTILE):
        file = sets["test"] / "left" / f"2_{2 * number + 1:02d}.png"
        file.rename(file.with_name(f"{name}.png"))
    return sets


@pytest.fixture(scope="module")
def coverage_run(server, chromium, model, folders):
    """Give a model and test sets to the page, and return the run."""
    page = new_page(chromium, viewport={"width": 1440, "height": 900})
    page.goto(server.url)
    fill(page, model, folders)
    unfold(page, "Other test sets, and new images")
    page.locator("#other-tests textarea").fill(str(folders["noisy"]))
    page.locator("#candidates input").fill(str(folders["new"]))
    unfold(page, "Options")
    page.locator("#neurons textarea").fill("4")
    line = page.locator("#coverage-command textarea")
    expect(line).to_have_value(re.compile(r"--neurons 4 --candidates "))
    page.get_by_role("button", name="Measure coverage").click()
    expect(page.locator("#coverage .facts")).to_be_visible(timeout=LONG)
    assert page.evaluate("window.hit") is None
    page.context.close()
    return server.runs / f"{folders['test'].name}-coverage"


@pytest.fixture
def looking(coverage_run, server, visit):
    page = visit(server.url)
    open_tab(page, "Coverage")
    box = page.get_by_label("Open a measured coverage")
    expect(box).not_to_have_value("")  # the latest opens by itself
    box.fill(str(coverage_run))
    box.press("Enter")
    expect(page.locator("#coverage h2")).to_have_text(coverage_run.name)
    return page


def test_scores_and_neurons(looking, coverage_run, folders, shoot):
    results = document_of(coverage_run)
    test = results["tests"][0]
    pane = looking.locator("#coverage")
    expect(pane.locator(".facts")).to_contain_text(
        f"{100 * test['coverage']:.1f} %: {test['covered']} combinations of "
        f"{results['combinations']}"
    )
    expect(pane.locator(".neurons figure")).to_have_count(4)
    for row, figure in zip(results["neurons"], pane.locator(".neurons figure").all(), strict=True):
        expect(figure.locator("rect.region")).to_have_count(len(row["centroids"]))
        expect(figure.locator("line.border")).to_have_count(len(row["borders"]))
        bars = sum(1 for number in row["tests"][0] if number)
        expect(figure.locator("rect.of-test")).to_have_count(bars)
        expect(figure).to_contain_text(f"Neuron {row['neuron']}")
    titles = pane.locator(".criteria th").all_inner_texts()
    name = folders["test"].name
    assert titles == ["", name, "<b>noisy", f"{name} + <b>noisy"]
    cells = pane.locator(".criteria tbody tr")
    expect(cells).to_have_count(8)
    rows = {(r["test_set"], r["criterion"]): r for r in read_csv(coverage_run / "criteria.csv")}
    for line in cells.all():
        criterion, *values = line.locator("td").all_inner_texts()
        criterion = criterion.split("\n")[0]
        first_row, noisy_row = (rows[test_set, criterion] for test_set in (name, "<b>noisy"))
        shares = [first_row["value"], noisy_row["value"], noisy_row["added_to_the_first"]]
        assert [float(v[:-2]) for v in values] == pytest.approx(
            [100 * float(share) for share in shares], abs=0.051
        )
    shoot(looking, "coverage")


def test_combinations_growth_and_images_alone(looking, coverage_run):
    test = document_of(coverage_run)["tests"][0]
    part = looking.get_by_role("region", name="Covered combinations")
    first = part.locator("tbody tr").first.locator("td").all_inner_texts()
    assert first[:3] == [
        test["table"][0]["combination"],
        str(test["table"][0]["images"]),
        str(test["table"][0]["training"]),
    ]
    more = part.get_by_role("button", name="Show")
    if more.count():
        more.click()
    expect(part.locator("tbody tr")).to_have_count(len(test["table"]))
    missing = looking.get_by_role("region", name="Not covered")
    assert missing.locator("code").first.inner_text() == test["missing"][0]["combination"]
    path = looking.locator("path.grown").get_attribute("d")
    assert path.count("V") == test["covered"]
    half = dict(map(tuple, test["expected"]))[test["images"] // 2]
    caption = looking.get_by_role("region", name="How coverage grew").locator(".caption")
    expect(caption).to_contain_text(
        f"second half of images adds {test['covered'] - half:.1f} combinations"
    )
    alone = looking.get_by_role("region", name="Images alone with their combination")
    thumbnails = alone.locator(".thumb").all()
    assert {image.get_attribute("title") for image in thumbnails} <= {
        row["path"] for row in test["contributors"]
    }
    assert len(thumbnails) == min(24, test["alone"])
    for image in thumbnails:
        picture = image.locator("img")
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("i => i.decode().then(() => i.naturalWidth)") > 50


def test_another_test_set(looking, coverage_run):
    results = document_of(coverage_run)
    looking.get_by_label("Test set", exact=True).select_option("1")
    expect(looking.locator("#coverage .facts")).to_contain_text(
        f"are covered by {results['tests'][1]['images']} images of <b>noisy"
    )
    assert looking.evaluate("window.hit") is None


def test_new_images_are_ranked_and_exported(looking, coverage_run, tmp_path):
    rows = read_csv(coverage_run / "widening.csv")
    part = looking.get_by_role("region", name="New images that widen the test set")
    titles = [image.get_attribute("title") for image in part.locator(".thumb").all()]
    assert titles == [row["path"] for row in rows[:24]]
    unfold(looking, "Export new images")
    looking.locator("#export-widening").click()
    message = looking.locator("#job")
    expect(message).to_contain_text("Give the new folder")
    looking.locator("#widening-folder input").fill(str(tmp_path / "out"))
    looking.locator("#export-widening").click()
    adds = sum(row["adds"] == "1" for row in rows)
    expect(message).to_contain_text(f"{adds} image", timeout=LONG)
    assert len(list((tmp_path / "out").rglob("*.png"))) == adds


def test_options_that_cannot_be_used_give_an_error(server, visit, model, folders):
    page = visit(server.url)
    open_tab(page, "Coverage")
    message = page.locator("#job .error")
    measure = page.get_by_role("button", name="Measure coverage")
    measure.click()
    expect(message).to_contain_text("Give the model file of the DNN")
    fill(page, model, folders)
    unfold(page, "Options")
    page.locator("#neurons textarea").fill("six")
    measure.click()
    expect(message).to_contain_text(
        "Important neurons: expected a whole number, 1 or more, received 'six'"
    )
    page.locator("#neurons textarea").fill("7")
    measure.click()
    expect(message).to_contain_text("layer 'hidden' has 6 neurons, received 7", timeout=LONG)
