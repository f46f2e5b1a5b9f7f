"""The Retraining tab in a real browser: from a selected unsafe set to the table of clusters."""

import json
import re
import shutil
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from pipelines.retraining.results import read_retraining
from pipelines.runs.files import read_csv
from tests.ui.clicks import LONG, open_tab, unfold


@pytest.fixture(scope="module")
def run(spots, server):
    server.runs.mkdir(exist_ok=True)
    return shutil.copytree(spots.run, server.runs / "spots")


@pytest.fixture
def tab(run, server, visit):
    page = visit(f"{server.url}?run={quote(str(run))}")
    open_tab(page, "Retraining")
    expect(page.get_by_label("Keras model to retrain")).not_to_have_value("")
    return page


def press(page):
    page.get_by_role("button", name="Retrain", exact=True).click()


def test_from_an_unsafe_set_to_the_clusters_that_are_repaired(tab, run, spots, server, shoot):
    expect(tab.get_by_label("Keras model to retrain")).to_have_value(str(spots.model))
    expect(tab.get_by_label("Folder of its training images")).to_have_value(str(spots.train))
    expect(tab.get_by_label("Folder of test images, labelled")).to_have_value(str(spots.test))
    expect(tab.locator("#retraining")).to_contain_text("has not been retrained yet")
    unfold(tab, "Compare with other ways")
    tab.get_by_label("Compare", exact=True).check()
    tab.get_by_label("Repeats").fill("2")
    expect(tab.locator("#retrain-command textarea")).to_have_value(
        re.compile(r"--out \S+/spots-retrained --compare --repeats 2$")
    )
    press(tab)
    expect(tab.locator(".curve figcaption")).to_contain_text("Epoch", timeout=LONG)
    expect(tab.get_by_text("Other ways to spend as many labels")).to_be_visible(timeout=LONG)
    out = server.runs / "spots-retrained"
    results = read_retraining(out)
    expect(tab.locator("#retraining .facts")).to_contain_text(
        f"It repairs {results.change.repaired} image"
    )
    expect(tab.locator(".curve circle.accuracy")).to_have_count(results.epochs)
    rows = tab.locator(".repairs tr[data-cluster]")
    expect(rows).to_have_count(len(results.repairs))
    for place, repair in enumerate(results.repairs):
        expect(rows.nth(place)).to_contain_text(f"{repair.after.right} of {repair.failing}")
        expect(rows.nth(place)).to_contain_text(repair.state)
    rows.first.get_by_role("button").click()
    of = str(results.repairs[0].cluster)
    rows_of_cluster = [row for row in read_csv(out / "before_after.csv") if row["cluster"] == of]
    right = [row["path"] for row in rows_of_cluster if row["right after"] == "1"]
    strip = tab.locator(".looked:visible .strip").first
    expect(strip.locator("img")).to_have_count(min(len(right), 8))
    if right:
        expect(strip.locator("img").first).to_have_attribute("alt", re.compile(re.escape(right[0])))
        tab.wait_for_function("document.querySelector('.looked .strip img').naturalWidth > 0")
    for method in results.comparison.methods:
        expect(tab.locator("#retraining")).to_contain_text(f"{int(1000 * method.mean) / 10:.1f}")
    shoot(tab, "retraining")


def test_the_report_tells_of_it_with_the_words_as_they_are_now(tab, server):
    link = tab.get_by_role("link", name="Report")
    with tab.context.expect_page() as new_page:
        link.click()
    new_page.value.wait_for_load_state()
    expect(new_page.value.get_by_role("heading", name="Retraining")).to_be_visible()
    expect(new_page.value.get_by_role("heading", name="Clusters", exact=True)).to_be_visible()


def test_stop_keeps_the_best_epoch_so_far(tab, server):
    unfold(tab, re.compile("^Training"))
    tab.get_by_label("Epochs", exact=True).fill("2000")
    press(tab)
    expect(tab.locator("#job")).to_contain_text(re.compile(r"Retraining · \d"), timeout=LONG)
    expect(tab.locator(".curve circle.accuracy").nth(2)).to_be_attached(timeout=LONG)
    tab.reload()  # the curve goes on for whoever comes
    open_tab(tab, "Retraining")
    expect(tab.locator(".curve circle.accuracy").nth(3)).to_be_attached(timeout=LONG)
    tab.get_by_role("button", name="Stop").click()
    expect(tab.locator("#retraining .note")).to_contain_text(
        "stopped by the user: its best epoch so far is kept", timeout=LONG
    )
    out = server.runs / "spots-retrained-2"
    assert json.loads((out / "run.json").read_text())["ended"] == "finished"
    assert read_retraining(out).ended == "stopped"
    assert (out / "retrained.keras").is_file()


def test_options_that_cannot_be_used_give_an_error(tab, spots, tmp_path):
    error = tab.locator("#job .error")
    field = tab.get_by_label("Folder of its training images")
    field.fill(str(tmp_path / "nowhere"))
    field.press("Enter")
    press(tab)
    expect(error).to_contain_text("nowhere", timeout=LONG)
    field.fill(str(spots.test))
    field.press("Enter")
    press(tab)
    expect(error).to_contain_text("share 80 images", timeout=LONG)


def test_a_run_without_an_unsafe_set_says_what_to_do(run, server, visit):
    bare = shutil.copytree(run, server.runs / "bare")
    (bare / "selection.json").unlink()
    page = visit(f"{server.url}?run={quote(str(bare))}")
    open_tab(page, "Retraining")
    expect(page.get_by_label("Keras model to retrain")).not_to_have_value("")
    press(page)
    expect(page.locator("#job .error")).to_contain_text("has no unsafe set yet: select it first")
