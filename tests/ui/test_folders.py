"""Folders and runs as the page opens them, whatever is in them."""

import re
from urllib.parse import quote

from playwright.sync_api import expect

from benchmarks.page import write_run
from pipelines.runs.files import read_pairs
from tests.ui.clicks import FOLDER, HOSTILE, LONG, find, give, wait_for_run

# --- folders that are not as they should be -------------------------------------------------------


def test_a_folder_that_does_not_exist(server, visit, tmp_path):
    page = visit(server.url)
    give(page, tmp_path / "nowhere")
    expect(page.locator("#count")).to_contain_text(f"{tmp_path / 'nowhere'} does not exist")
    page.get_by_role("button", name="Find root cause clusters").click()
    expect(page.locator("#job")).to_contain_text(f"{tmp_path / 'nowhere'} does not exist")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def test_no_folder_at_all(server, visit):
    page = visit(server.url)
    page.get_by_role("button", name="Find root cause clusters").click()
    expect(page.locator("#job")).to_contain_text("Give the folder that holds the images")


def test_a_folder_without_an_image(server, visit, tmp_path):
    folder = tmp_path / "no images here"
    folder.mkdir()
    (folder / "readme.txt").write_text("none")
    page = visit(server.url)
    find(page, folder)
    expect(page.locator("#count")).to_contain_text("0 usable images. 1 other file cannot be used.")
    expect(page.locator("#job")).to_contain_text("holds no usable image", timeout=LONG)
    expect(page.locator("#job")).to_contain_text("readme.txt")


def test_files_that_cannot_be_used_are_counted_and_listed_with_their_reasons(
    hostile_folder, server, visit
):
    images, run = hostile_folder
    page = visit(f"{server.url}?run={quote(str(run))}")
    wait_for_run(page, run.name)
    rejected_files = page.locator(".rejected")
    expect(rejected_files.locator("summary")).to_have_text("7 files could not be used")
    rejected_files.locator("summary").click()
    for path, reason in read_pairs(run / "rejected.txt").items():
        expect(rejected_files.locator("tr", has_text=path)).to_contain_text(reason)
    expect(rejected_files.locator("tr", has_text="half.png")).to_contain_text("truncated")
    give(page, images)  # by their headers alone, where half an image looks whole
    expect(page.locator("#count")).to_have_text("21 usable images. 6 other files cannot be used.")


def test_names_are_text_wherever_they_are_shown(hostile_folder, server, visit):
    images, run = hostile_folder
    page = visit(f"{server.url}?run={quote(str(run))}")
    wait_for_run(page, run.name)
    for tile in page.locator(".tile").all():
        tile.click()
        for thumb in page.locator(".thumb").all():
            thumb.hover()
    assert "&lt;img src=x" in page.locator("#clusters").inner_html()
    page.get_by_label("Name").fill(HOSTILE[0])
    expect(page.locator(".saved")).to_have_text("Saved")
    page.reload()
    wait_for_run(page, run.name)
    page.get_by_label("Open a run").click()
    expect(page.locator("li[role=option]", has_text=HOSTILE[0])).to_be_visible()
    give(page, images.parent)
    page.get_by_role("button", name="Browse").click()
    page.get_by_label(images.name, exact=True).click()
    expect(page.locator(".folders")).to_contain_text(f"Folders in {images}")
    page.get_by_role("button", name="Use this folder").click()
    expect(page.get_by_label(FOLDER)).to_have_value(str(images))
    give(page, images.parent / f"missing {HOSTILE[0]}")
    expect(page.locator("#count")).to_contain_text("missing <img")
    page.get_by_role("button", name="Find root cause clusters").click()
    expect(page.locator("#job")).to_contain_text("missing <img")
    assert page.evaluate("window.hit") is None


# --- runs and folders -----------------------------------------------------------------------------


def test_an_earlier_run_is_opened_from_the_list_or_by_its_path(
    example, hostile_folder, server, visit
):
    images, run = hostile_folder
    page = visit(f"{server.url}?run={quote(str(run))}")
    wait_for_run(page, run.name)
    page.get_by_label("Open a run").click()
    page.get_by_role("option", name=re.compile("^example ")).click()
    wait_for_run(page, "example")
    box = page.get_by_label("Open a run")
    box.fill(str(run))
    box.press("Enter")
    wait_for_run(page, run.name)
    box.fill(str(images))
    box.press("Enter")
    expect(page.locator("#job")).to_contain_text("is not a run folder")


def test_pictures_that_were_on_their_way_when_the_run_was_closed_load_no_more(
    hostile_folder, failures, server, visit
):
    page = visit(f"{server.url}?run={quote(str(hostile_folder[1]))}")
    wait_for_run(page, hostile_folder[1].name)
    give(page, failures)
    expect(page.locator("#count")).to_have_text("20 usable images.")
    page.evaluate("""() => {  // timers of pictures go off when the test says so
        const [set, clear] = [window.setTimeout, window.clearTimeout];
        window.held = new Map();
        let last = 0;
        window.setTimeout = (call, delay, ...rest) => {
            if (delay !== 80) return set(call, delay, ...rest);
            window.held.set(last -= 1, call);
            return last;
        };
        window.clearTimeout = (timer) => window.held.delete(timer) || clear(timer);
    }""")
    page.locator(".tile[data-cluster='1']").click()
    assert page.evaluate("window.held.size") == 1
    page.get_by_role("button", name="Find root cause clusters").click()
    expect(page.locator("#clusters .empty")).to_be_visible()
    # An error in the scripts fails the test.
    page.evaluate("[...window.held.values()].forEach((call) => window.setTimeout(call, 0))")
    wait_for_run(page, failures.name)


def test_a_fresh_page_opens_the_last_run_and_offers_the_folders_of_all(
    failures, hostile_folder, server, visit
):
    first = visit(server.url)
    find(first, failures)
    wait_for_run(first, failures.name)
    page = visit(server.url)
    wait_for_run(page, failures.name)
    page.get_by_label(FOLDER).click()
    expect(page.get_by_role("option").first).to_have_text(re.compile(re.escape(str(failures))))
    page.get_by_role("option", name=str(hostile_folder[0])).click()
    expect(page.locator("#count")).to_contain_text("21 usable images.")


def test_the_folder_picker_goes_down_and_up(failures, server, visit):
    page = visit(server.url)
    give(page, failures.parent)
    page.get_by_role("button", name="Browse").click()
    page.get_by_label(failures.name, exact=True).click()
    expect(page.locator(".folders")).to_contain_text(f"Folders in {failures}")
    page.get_by_label(".. (up)").click()
    page.get_by_label(failures.name, exact=True).click()
    expect(page.locator(".folders")).to_contain_text(f"Folders in {failures}")
    page.get_by_role("button", name="Use this folder").click()
    expect(page.get_by_label(FOLDER)).to_have_value(str(failures))
    expect(page.locator("#count")).to_have_text("20 usable images.")
    expect(page.locator(".folders")).to_be_hidden()


# --- size -----------------------------------------------------------------------------------------


def test_five_thousand_images_are_browsed_in_little_memory(serve, visit, shoot, tmp_path):
    write_run(tmp_path / "runs" / "large", tmp_path / "images", 5000, seed=1)
    with serve(tmp_path / "runs") as server:
        page = visit(server.url)
        expect(page.locator(".tile")).to_have_count(151)
        give(page, tmp_path / "images")
        expect(page.locator("#count")).to_have_text("5,000 usable images.", timeout=LONG)
        page.locator(".tile").first.click()
        for _ in range(30):
            page.keyboard.press("ArrowRight")
        expect(page.locator(".tile[aria-selected='true']")).to_have_attribute("data-cluster", "30")
        largest = page.locator(".tile").first
        largest.click()
        size = int(re.search(r"(\d+) images", largest.inner_text())[1])
        expect(page.locator(".pager")).to_contain_text(f"1 to 48 of {size}")
        later = page.get_by_role("button", name="Later images")
        while later.is_enabled():
            later.click()
        expect(page.locator(".pager")).to_contain_text(f"to {size} of {size}")
        expect(page.locator(".thumb")).to_have_count((size - 1) % 48 + 1)
        page.wait_for_function(
            "[...document.querySelectorAll('.thumb img')].every((image) => image.naturalWidth)"
        )
        shoot(page, "large")
        assert server.peak_memory_mb() < 400
        assert "tensorflow" not in server.read_loaded_files()
