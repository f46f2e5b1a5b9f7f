"""The Unsafe set tab as its user meets it: from a run and a folder of new images to an export."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from pipelines.runs.files import read_csv, replace_cells
from pipelines.unsafe_set.files import read_selection, recut
from tests.ui.clicks import HOSTILE, LONG, ROOT, draw_failures, open_tab, unfold

FIELD = "Folder of new images, the improvement set"


@pytest.fixture(scope="module")
def cluster(features, tmp_path_factory):
    """Return a run of `cluster`, whose images no other test has seen."""
    images = draw_failures(tmp_path_factory.mktemp("failing") / "failing", 24)
    out = tmp_path_factory.mktemp("runs") / "finished"
    command = [sys.executable, "SAFE_Tool.py", "cluster", images, "--out", out]
    environment = os.environ | {"SAFE_CACHE": str(features)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return out


@pytest.fixture
def run(cluster, tmp_path):
    shutil.copytree(cluster, tmp_path / "the run")
    return tmp_path / "the run"


@pytest.fixture(scope="module")
def improvement(tmp_path_factory):
    """Return new images of the same kinds; names are hostile, and two files are no images."""
    images = tmp_path_factory.mktemp("new") / "new images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for number in range(30):  # no two of them the same, but for the noise
        low, high = rng.uniform(0, 120), rng.uniform(140, 255)
        ramp = np.linspace(low, high, 64)[None, :, None]
        pixels = ramp if number % 2 else np.full((1, 64, 1), rng.uniform(70, 110))
        pixels = pixels + rng.normal(0, rng.uniform(4, 9), (48, 64, 3))
        name = f"{'ramp' if number % 2 else 'flat'} {number}.png"
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(images / name)
    for number, name in enumerate(HOSTILE):
        (images / f"flat {2 * number}.png").rename(images / f"{name}.png")
    (images / "half.png").write_bytes((images / "ramp 3.png").read_bytes()[:200])
    (images / "notes.txt").write_text("no image")
    return images


def look_at_unsafe_set(visit, server, run):
    page = visit(f"{server.url}?run={run}")
    expect(page.locator(".tile").first).to_be_visible()
    open_tab(page, "Unsafe set")
    return page


def select(page, improvement):
    box = page.get_by_label(FIELD)
    box.fill(str(improvement))
    box.press("Enter")
    expect(page.locator("#select-command textarea")).to_have_value(
        re.compile(re.escape(improvement.name))
    )
    page.get_by_role("button", name="Select the unsafe set").click()
    expect(page.locator(".group").first).to_be_visible(timeout=LONG)


@pytest.fixture(scope="module")
def original_run(cluster, improvement, features, tmp_path_factory):
    """Return a run with an unsafe set of twelve images."""
    run = tmp_path_factory.mktemp("selected") / "selected"
    shutil.copytree(cluster, run)
    command = [sys.executable, "SAFE_Tool.py", "select", run, improvement, "--count", "12"]
    command.append("--duplicates")  # what is drawn differs in its noise alone
    environment = os.environ | {"SAFE_CACHE": str(features)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return run


@pytest.fixture
def selection_run(original_run, tmp_path):
    shutil.copytree(original_run, tmp_path / "selected")
    return tmp_path / "selected"


@pytest.fixture
def choosing(selection_run, server, visit):
    page = look_at_unsafe_set(visit, server, selection_run)
    expect(page.locator(".group").first).to_be_visible()
    return page


def names_of(run):
    return (run / "IS_filenames.txt").read_text().splitlines()


def read_paths(page, state="true"):
    thumbs = page.locator(f".chosen .thumb[aria-pressed='{state}']")
    return {thumb.get_attribute("aria-label") for thumb in thumbs.all()}


def expect_saved(page):
    expect(page.locator(".number .saved")).to_have_text("Saved")


# --- from a run to an export --------------------------------------------------------------------


def test_from_a_run_to_an_export(run, improvement, server, visit, shoot, tmp_path):
    page = look_at_unsafe_set(visit, server, run)
    expect(page.locator("#unsafe-set .empty")).to_contain_text("This run has no unsafe set yet")
    unfold(page, "How many images")
    page.get_by_label("Test images").fill("400")
    page.get_by_label("Accuracy on them").fill("90 %")
    select(page, improvement)
    facts = page.locator("#unsafe-set .facts")
    expect(facts).to_contain_text("12 images of 30 are chosen (estimated: 400 test images x")
    expect(facts).to_contain_text("2 files could not be used")
    inside = read_selection(run).inside
    assert f"{30 - inside} image" in facts.inner_text()
    assert read_paths(page) == set(names_of(run))
    assert len(names_of(run)) == 12
    rows = {row["path"]: row["cluster"] for row in read_csv(run / "unsafe_set.csv")}
    for group in page.locator(".group").all():
        inside = {t.get_attribute("aria-label") for t in group.locator(".chosen .thumb").all()}
        assert {rows[path] for path in inside} == {group.get_attribute("data-cluster")}
        assert group.locator(".of-cluster img").count() > 0
    for picture in page.locator("#unsafe-set img").all():
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 160
    shoot(page, "unsafe-set")

    unfold(page, "Export to a labelling tool")
    target = tmp_path / "to label"
    page.get_by_label("New folder").fill(str(target))
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.locator("#job")).to_contain_text(f"12 images in {target}", timeout=LONG)
    assert len(json.loads((target / "coco.json").read_text())["images"]) == 12
    copies = {str(file.relative_to(target)) for file in target.rglob("*.png")}
    assert copies == {f"cluster_{int(cluster):03d}/{path}" for path, cluster in rows.items()}
    assert page.evaluate("window.hit") is None
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.locator("#job .error")).to_contain_text("not a new or empty folder", timeout=LONG)


def test_the_command_line_makes_the_same_set(run, improvement, server, visit, original_run):
    page = look_at_unsafe_set(visit, server, run)
    unfold(page, "How many images")
    page.locator("#images-to-choose textarea").fill("12")
    unfold(page, "Options")
    page.get_by_label("Choose images that look the same, too").check()
    select(page, improvement)
    for name in ("unsafe_set.csv", "IS_filenames.txt", "selection.json", "selection.npz"):
        assert (run / name).read_bytes() == (original_run / name).read_bytes(), name


# --- changing the choice ------------------------------------------------------------------------


def test_an_image_is_taken_out_and_in_again(choosing, selection_run):
    before = names_of(selection_run)
    thumb = choosing.locator(".chosen .thumb").first
    path = thumb.get_attribute("aria-label")
    thumb.click()
    expect_saved(choosing)
    assert names_of(selection_run) == [name for name in before if name != path]
    expect(thumb).to_have_attribute("aria-pressed", "false")
    expect(choosing.locator("#unsafe-set .facts")).to_contain_text("11 images of 30 are chosen")
    expect(choosing.locator("#unsafe-set .facts")).to_contain_text("1 more was taken out")
    for _ in range(4):  # whichever comes first, the run that is opened or the tab
        choosing.reload()
        open_tab(choosing, "Unsafe set")
        expect(choosing.locator(".chosen .thumb").first).to_have_attribute("aria-pressed", "false")
    choosing.locator(".chosen .thumb").first.focus()
    choosing.keyboard.press("Enter")
    expect_saved(choosing)
    assert names_of(selection_run) == before
    assert read_paths(choosing) == set(before)


def test_a_cluster_is_taken_out_and_in_again(choosing, selection_run):
    before = names_of(selection_run)
    group = choosing.locator(".group").first
    rows = {row["path"]: row["cluster"] for row in read_csv(selection_run / "unsafe_set.csv")}
    out = {path for path, of in rows.items() if of == group.get_attribute("data-cluster")}
    group.get_by_role("checkbox").uncheck()
    expect_saved(choosing)
    assert names_of(selection_run) == [name for name in before if name not in out]
    assert read_paths(choosing, "false") == out
    expect(group.locator(".thumb[aria-pressed]").first).to_be_disabled()
    group.get_by_role("checkbox").check()
    expect_saved(choosing)
    assert names_of(selection_run) == before


def test_the_slider_cuts_the_ranking_again_without_a_job(
    choosing, selection_run, original_run, tmp_path
):
    slider = choosing.get_by_role("slider", name="Images to choose")
    slider.focus()
    for _ in range(5):
        choosing.keyboard.press("ArrowRight")
    expect(choosing.locator("#unsafe-set .facts")).to_contain_text(
        "17 images of 30 are chosen (as asked for)"
    )
    expect_saved(choosing)
    other = shutil.copytree(original_run, tmp_path / "other")
    recut(other, count=17)
    assert names_of(selection_run) == names_of(other)
    assert read_paths(choosing) == set(names_of(selection_run))
    field = choosing.get_by_label("Number of images to choose")
    expect(field).to_have_value("17")
    field.fill("1")
    expect(choosing.locator("#unsafe-set .facts")).to_contain_text("1 image of 30 is chosen")
    expect_saved(choosing)
    assert len(names_of(selection_run)) == 1
    expect(choosing.locator(".unused")).to_contain_text("No new image is chosen for Cluster")


@pytest.mark.parametrize("text", ["1,5", "1.5", "1,000", "a few"])
def test_a_number_that_is_none_is_refused_and_changes_nothing(choosing, selection_run, text):
    before = names_of(selection_run)
    field = choosing.get_by_label("Number of images to choose")
    field.clear()
    field.press_sequentially(text, delay=0)
    expect(choosing.locator(".number .saved")).to_contain_text(
        f"Not changed: Images to choose: expected a whole number, 1 or more, received '{text}'."
    )
    assert names_of(selection_run) == before
    assert field.input_value() == text


def test_labels_are_shown_and_outlive_a_smaller_number(choosing, selection_run):
    last = names_of(selection_run)[-1]
    replace_cells(selection_run / "unsafe_set.csv", "path", {last: {"label": "<b>Top</b>Left"}})
    field = choosing.get_by_label("Number of images to choose")
    field.fill("2")
    expect(choosing.locator("#unsafe-set .note")).to_contain_text(
        "1 label of images that are not in the"
    )
    field.fill("12")
    expect(choosing.locator(".badge", has_text="<b>Top</b>Left")).to_be_visible()
    expect(choosing.locator("#unsafe-set .facts")).to_contain_text("1 label filled in")
    rows = {row["path"]: row["label"] for row in read_csv(selection_run / "unsafe_set.csv")}
    assert rows[last] == "<b>Top</b>Left"


def test_a_name_typed_on_the_clusters_tab_is_shown(choosing, selection_run):
    open_tab(choosing, "Clusters")
    choosing.locator(".tile[data-cluster='0']").click()
    choosing.get_by_label("Name").fill("flat & grey")
    expect(choosing.locator("#clusters .saved")).to_have_text("Saved")
    open_tab(choosing, "Unsafe set")
    expect(choosing.locator(".group[data-cluster='0'] h3")).to_have_text("flat & grey")


# --- what cannot be done ------------------------------------------------------------------------


def test_entries_that_are_missing_give_an_error(run, improvement, server, visit, tmp_path):
    page = look_at_unsafe_set(visit, server, run)
    error = page.locator("#job .error")
    page.get_by_role("button", name="Select the unsafe set").click()
    expect(error).to_contain_text("Give the folder that holds the new images")
    unfold(page, "Export to a labelling tool")
    page.get_by_role("button", name="Export", exact=True).click()
    expect(error).to_contain_text("The run has no unsafe set yet")
    page.get_by_label(FIELD).fill(str(tmp_path / "nowhere"))
    page.get_by_label(FIELD).press("Enter")
    page.get_by_role("button", name="Select the unsafe set").click()
    expect(error).to_contain_text("nowhere does not exist")
    page.get_by_label(FIELD).fill(str(improvement))
    page.get_by_label(FIELD).press("Enter")
    unfold(page, "How many images")
    page.get_by_label("Accuracy on them").fill("most")
    page.get_by_role("button", name="Select the unsafe set").click()
    expect(error).to_contain_text("Accuracy on them: expected a share, 0 to 1, received 'most'")
    page.get_by_label("Accuracy on them").fill("0.9")
    page.get_by_role("button", name="Select the unsafe set").click()
    expect(error).to_contain_text("give both or neither", timeout=LONG)
    assert not (run / "selection.json").exists()


def test_a_set_that_was_selected_anew_meanwhile_is_not_changed(choosing, selection_run):
    def select_anew(
        route,
    ):  # when the change is on its way: before, the page would show the new set
        document = json.loads((selection_run / "selection.json").read_text())
        document["measured"] = "0" * 64
        (selection_run / "selection.json").write_text(json.dumps(document))
        route.continue_()

    before = names_of(selection_run)
    choosing.route("**/recut", select_anew)
    choosing.locator(".chosen .thumb").first.click()
    expect(choosing.locator(".number .saved")).to_contain_text("holds another unsafe set by now")
    assert names_of(selection_run) == before


def test_thumbnails_are_served_and_originals_are_not(choosing, selection_run, server, improvement):
    source = choosing.locator(".chosen .thumb img").first.get_attribute("src")
    with urlopen(f"{server.url}{source}") as answer:
        assert answer.headers["content-type"] == "image/jpeg"
        answer.read()
    name = Path(source).name
    assert (selection_run / "thumbnails" / name).is_file()
    for wrong in (
        source.replace(name, "0" * 24 + ".jpg"),
        re.sub(r"/new/\d+/", "/new/999/", source).replace(name, "f" * 24 + ".jpg"),
        source.replace(name, "..%2f..%2fselection.json"),
        source.split("/new/")[0] + "/download/selection.npz",
    ):
        with pytest.raises(HTTPError) as refusal:
            urlopen(f"{server.url}{wrong}")
        assert refusal.value.code == 404


def test_an_image_that_changed_since_is_not_shown(
    selection_run, server, visit, improvement, tmp_path
):
    other_folder = shutil.copytree(improvement, tmp_path / "moved")
    document = json.loads((selection_run / "selection.json").read_text())
    document["folder"] = str(other_folder)
    (selection_run / "selection.json").write_text(json.dumps(document))
    first = names_of(selection_run)[0]
    shutil.copy(improvement / names_of(selection_run)[1], other_folder / first)
    page = look_at_unsafe_set(visit, server, selection_run)
    place = page.locator(f".thumb[aria-label='{first}']")
    expect(place.locator(".gone")).to_have_text("cannot be shown")
