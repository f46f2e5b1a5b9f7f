"""The Clusters tab as its user meets it: a real server, real jobs, a real browser."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from benchmarks.page import write_run
from pipelines.clusters.clusters import NOISE
from pipelines.runs.files import read_csv, read_pairs
from pipelines.runs.manifest import read_manifest
from tests.planted import UNSAFE_VALUES, write_planted_run

ROOT = Path(__file__).parents[2]
FOLDER = "Folder of images on which the DNN failed"
TIMES = {"run.json", "status.json", "report.html", ".lock"}
LONG = 240_000  # milliseconds that a whole job may take


def give(page, folder):
    box = page.get_by_label(FOLDER)
    box.fill(str(folder))
    box.press("Enter")


def find(page, folder):
    give(page, folder)
    expect(page.locator("#command textarea")).to_have_value(re.compile(re.escape(folder.name)))
    page.get_by_role("button", name="Find root cause clusters").click()


def wait_for_stage(page, stage):
    expect(page.locator("#job")).to_contain_text(stage, timeout=LONG)


def wait_for_run(page, name):
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=LONG)


def shown_path(page):
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


@pytest.fixture
def failures(tmp_path):
    return draw_failures(tmp_path / f"failures {os.urandom(4).hex()}")


HOSTILE = ("<img src=x onerror=window.hit=1>", "${window.hit=2}", "`${window.hit=3}`", "{{this}}")


@pytest.fixture(scope="module")
def mixed(server, chromium, tmp_path_factory):
    """Return a folder whose names are hostile and whose files are not all usable, and its run."""
    images = draw_failures(tmp_path_factory.mktemp("mixed") / f"{HOSTILE[0]} {HOSTILE[1]}")
    for number, name in enumerate(HOSTILE):
        (images / f"flat {2 * number}.png").rename(images / f"{name}.png")
        (images / f"{name}.jpg").write_text("no image")
    whole = (images / "ramp 3.png").read_bytes()
    (images / "half.png").write_bytes(whole[: len(whole) // 2])
    (images / "empty.png").write_bytes(b"")
    (images / "page.html").write_text("<script>window.hit = 5</script>")
    page = chromium.new_context().new_page()
    page.goto(server.url)
    find(page, images)
    wait_for_run(page, images.name)
    assert page.evaluate("window.hit") is None
    page.context.close()
    return images, server.runs / images.name


@pytest.fixture(scope="module")
def example(server, chromium):
    """Click "Try the example" on a fresh page, reload it in mid-job, and return the run."""
    page = chromium.new_context().new_page()
    page.goto(server.url)
    page.get_by_role("button", name="Try the example").click()
    wait_for_stage(page, "Drawing eyes")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.reload()
    wait_for_stage(page, "Drawing eyes")
    expect(page.get_by_role("button", name="Find root cause clusters")).to_be_disabled()
    wait_for_stage(page, "step 2 of 2")
    page.reload()
    wait_for_stage(page, "step 2 of 2")
    wait_for_run(page, "example")
    page.context.close()
    return server.runs / "example"


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Return a run whose clusters are the same on every machine."""
    return write_planted_run(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def browsing(planted, server, visit):
    page = visit(f"{server.url}?run={planted}")
    expect(page.locator(".tile").first).to_be_visible()
    return page


# --- from the first click to a named cluster ----------------------------------------------------


def order(run):
    """Return the clusters as they are to be shown: by family, by size within, noise last."""
    rows = [row for row in read_csv(run / "clusters.csv") if row["cluster"] != str(NOISE)]
    sizes = Counter()
    for row in rows:
        sizes[row["family"]] += int(row["size"])
    rows.sort(key=lambda row: (-sizes[row["family"]], int(row["family"]), -int(row["size"])))
    return [row["cluster"] for row in rows] + [str(NOISE)]


def test_tiles_are_the_clusters_largest_family_first_and_noise_last(browsing, planted):
    rows = {row["cluster"]: row["size"] for row in read_csv(planted / "clusters.csv")}
    tiles = browsing.locator(".tile")
    expect(tiles).to_have_count(len(rows))
    assert [tile.get_attribute("data-cluster") for tile in tiles.all()] == order(planted)
    sizes = [re.search(r"(\d+) image", text)[1] for text in tiles.all_inner_texts()]
    assert sizes == [rows[cluster] for cluster in order(planted)]
    assert "Noise" in tiles.last.inner_text()


def test_a_tile_shows_the_most_central_image(browsing, planted):
    row = next(row for row in read_csv(planted / "clusters.csv") if row["cluster"] == "1")
    images = {row["path"]: row for row in read_csv(planted / "images.csv")}
    source = browsing.locator(".tile[data-cluster='1'] img").get_attribute("src")
    assert source.endswith(images[row["central_image"]]["thumbnail"])


def test_a_cluster_is_chosen_by_mouse_and_by_arrow_keys(browsing, planted):
    rows = {row["cluster"]: row for row in read_csv(planted / "clusters.csv")}
    gif = browsing.locator(".gif img")
    shown = order(planted)

    def chosen(place):
        cluster = shown[place]
        expect(browsing.locator(".tile[aria-selected='true']")).to_have_attribute(
            "data-cluster", cluster
        )
        expect(gif).to_have_attribute("src", re.compile(rf"gifs/cluster_{int(cluster):03d}\.gif$"))
        expect(browsing.locator("dl")).to_contain_text(rows[cluster]["central_image"])
        return True

    assert chosen(0)
    browsing.locator(f".tile[data-cluster='{shown[3]}']").click()
    assert chosen(3)
    browsing.keyboard.press("ArrowRight")
    assert chosen(4)
    browsing.keyboard.press("ArrowLeft")
    browsing.keyboard.press("ArrowLeft")
    assert chosen(2)
    browsing.keyboard.press("Home")
    assert chosen(0)
    browsing.keyboard.press("End")
    expect(gif).to_have_attribute("src", re.compile(r"gifs/noise\.gif$"))


def test_the_gif_is_the_runs_own(browsing, planted, server):
    gif = browsing.locator(".gif img")
    browsing.locator(".tile[data-cluster='0']").click()
    expect(gif).to_have_attribute("src", re.compile(r"gifs/cluster_000\.gif$"))
    source = gif.get_attribute("src")
    with urlopen(f"{server.url}{source}") as answer:
        assert answer.headers["content-type"] == "image/gif"
        assert answer.read() == (planted / "gifs" / "cluster_000.gif").read_bytes()
    assert gif.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100


def test_figures_come_from_clusters_csv(browsing, planted):
    row = read_csv(planted / "clusters.csv")[0]
    browsing.locator(".tile[data-cluster='0']").click()
    expect(browsing.locator("dl")).to_contain_text(row["central_image"])
    figures = browsing.locator("dl").inner_text()
    assert re.search(rf"Images\s+{row['size']} \(", figures)
    assert re.search(rf"Core images\s+{row['cores']}\b", figures)
    assert re.search(rf"Mean silhouette\s+{float(row['silhouette']):.2f}\b", figures)


def test_what_sets_a_cluster_apart_stands_beside_it(browsing, planted):
    rows = {row["cluster"]: row["hint"] for row in read_csv(planted / "clusters.csv")}
    told = next(cluster for cluster, hint in rows.items() if hint)
    silent = next(cluster for cluster, hint in rows.items() if not hint)
    for cluster in (told, silent):
        browsing.locator(f".tile[data-cluster='{cluster}']").click()
        expected = rows[cluster].split("; ") if rows[cluster] else []
        expect(browsing.locator(".hints li")).to_have_text(expected)


def test_a_cluster_is_explained_by_its_parameters(browsing, planted):
    rows = {row["cluster"]: row["parameters"] for row in read_csv(planted / "clusters.csv")}
    told = next(cluster for cluster, parameters in rows.items() if parameters)
    browsing.locator(f".tile[data-cluster='{told}']").click()
    first = rows[told].split("; ")[0]
    expect(browsing.locator("ul.parameters li").first).to_have_text(first)
    expect(browsing.locator(".confusions li").first).to_contain_text(" taken for ")
    expect(browsing.locator(".unsafe summary")).to_contain_text(f"of {UNSAFE_VALUES} unsafe values")
    browsing.locator(".colouring select").select_option(label="gaze_angle")
    expect(browsing.locator(".key")).to_contain_text("360°")


def test_the_example_is_found_and_explained_with_its_parameters(example, server, visit):
    """What holds whatever the example's DNN, trained on this machine, gets wrong."""
    command = read_manifest(example).command
    given = [Path(a).name for o, a in pairwise(command) if o in {"--parameters", "--unsafe-values"}]
    assert given == ["parameters.csv", "labels.csv", "unsafe_values.csv"]
    page = visit(f"{server.url}?run={example}")
    expect(page.locator(".tile")).to_have_count(len(read_csv(example / "clusters.csv")))
    assert [tile.get_attribute("data-cluster") for tile in page.locator(".tile").all()] == order(
        example
    )
    expect(page.locator(".unsafe summary")).to_contain_text("of 13 unsafe values")
    expect(page.locator(".colouring option", has_text="gaze_angle")).to_have_count(1)
    images = read_csv(example / "images.csv")
    failures = Path(read_manifest(example).folder)
    assert {row["path"] for row in images} == {file.name for file in failures.glob("*.jpg")}


def test_the_grid_pages_through_all_images_of_a_cluster(browsing, planted):
    labels = read_pairs(planted / "labels.txt")
    noise = {path for path, label in labels.items() if label == "-1"}
    browsing.locator(".tile").last.click()
    expect(browsing.locator(".pager")).to_contain_text(f"of {len(noise)}")
    seen = []
    while True:
        seen += [thumb.get_attribute("aria-label") for thumb in browsing.locator(".thumb").all()]
        later = browsing.get_by_role("button", name="Later images")
        if later.is_disabled():
            break
        later.click()
    assert len(seen) > 48
    assert sorted(seen) == sorted(noise)
    distances = {
        row["path"]: float(row["distance_to_centre"]) for row in read_csv(planted / "images.csv")
    }
    assert [distances[path] for path in seen] == sorted(distances[path] for path in seen)


def test_pointing_at_an_image_tells_its_path_and_distance_and_a_click_keeps_them(browsing, planted):
    distances = {row["path"]: row["distance_to_centre"] for row in read_csv(planted / "images.csv")}
    folder = Path(read_manifest(planted).folder)
    first, second = (browsing.locator(".thumb").nth(number) for number in (0, 5))
    path = first.get_attribute("aria-label")
    first.hover()
    assert shown_path(browsing) == str(folder / path)
    assert f"{float(distances[path]):.4f}" in browsing.locator(".detail").inner_text()
    second.click()
    browsing.locator("h2").hover()
    assert shown_path(browsing) == str(folder / second.get_attribute("aria-label"))


def test_a_name_and_a_note_are_saved_as_they_are_typed_and_survive_a_reload(browsing, planted):
    before = read_csv(planted / "clusters.csv")
    browsing.locator(".tile[data-cluster='2']").click()
    browsing.get_by_label("Name").press_sequentially("=head <b>turned</b> right")
    expect(browsing.locator(".saved")).to_have_text("Saved")
    browsing.get_by_label("Note").fill("seen on\nfive images")
    expect(browsing.locator(".saved")).to_have_text("Saved")
    after = read_csv(planted / "clusters.csv")
    assert after[2] == before[2] | {
        "name": "=head <b>turned</b> right",
        "note": "seen on\nfive images",
    }
    assert after[:2] + after[3:] == before[:2] + before[3:]
    browsing.reload()
    expect(browsing.locator(".tile[aria-selected='true']")).to_contain_text("<b>turned</b>")
    expect(browsing.get_by_label("Name")).to_have_value("=head <b>turned</b> right")
    expect(browsing.get_by_label("Note")).to_have_value("seen on\nfive images")


def test_words_that_cannot_be_saved_are_said_and_kept(browsing, planted):
    (planted / "clusters.csv").rename(planted / "away.csv")
    try:
        browsing.locator(".tile[data-cluster='5']").click()
        browsing.get_by_label("Name").fill("lost?")
        expect(browsing.locator(".saved")).to_contain_text("lost? is not saved")
        expect(browsing.get_by_label("Name")).to_have_value("lost?")
    finally:
        (planted / "away.csv").rename(planted / "clusters.csv")
    browsing.get_by_label("Name").fill("found")
    expect(browsing.locator(".saved")).to_have_text("Saved")
    assert read_csv(planted / "clusters.csv")[5]["name"] == "found"


def test_two_pages_do_not_overwrite_each_others_words(browsing, planted, server, visit):
    other = visit(f"{server.url}?run={planted}&cluster=6")
    browsing.locator(".tile[data-cluster='6']").click()
    browsing.get_by_label("Note").fill("from one")
    expect(browsing.locator(".saved")).to_have_text("Saved")
    other.get_by_label("Name").fill("from the other")
    expect(other.locator(".saved")).to_have_text("Saved")
    row = read_csv(planted / "clusters.csv")[6]
    assert (row["name"], row["note"]) == ("from the other", "from one")


def test_words_typed_as_the_page_is_closed_are_saved(planted, server, chromium):
    page = chromium.new_context().new_page()
    page.goto(f"{server.url}?run={planted}&cluster=7")
    page.get_by_label("Name").fill("last words")
    with page.expect_event("close"):  # or the browser would be gone before the page is
        page.close(run_before_unload=True)
    deadline = time.monotonic() + 10
    while read_csv(planted / "clusters.csv")[7]["name"] != "last words":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    page.context.close()  # before, it would break off what the closed page had sent


def test_what_is_typed_just_before_another_cluster_is_chosen_is_saved_to_its_own(browsing, planted):
    browsing.locator(".tile[data-cluster='3']").click()
    browsing.get_by_label("Name").fill("quick")
    browsing.locator(".tile[data-cluster='4']").click()
    expect(browsing.get_by_label("Name")).to_have_value("")
    names = {}
    for _ in range(100):  # the word may have been saved, and told of, before the click
        names = {row["cluster"]: row["name"] for row in read_csv(planted / "clusters.csv")}
        if names["3"]:
            break
        browsing.wait_for_timeout(100)
    assert (names["3"], names["4"]) == ("quick", "")


def test_a_point_of_the_map_opens_its_cluster_and_image(browsing, planted):
    rows = read_csv(planted / "images.csv")
    x, y = (np.array([float(row[axis]) for row in rows]) for axis in "xy")
    apart = [np.sort(np.hypot(x - a, y - b))[1] for a, b in zip(x, y, strict=True)]
    alone = max(
        (number for number, row in enumerate(rows) if row["cluster"] not in {"0", "-1"}),
        key=lambda number: apart[number],
    )
    canvas = browsing.locator("canvas")
    box = canvas.bounding_box()
    scale = min((box["width"] - 24) / np.ptp(x), (box["height"] - 24) / np.ptp(y))
    at = {
        "x": box["width"] / 2 + (x[alone] - (x.min() + x.max()) / 2) * scale,
        "y": box["height"] / 2 - (y[alone] - (y.min() + y.max()) / 2) * scale,
    }
    canvas.click(position=at)
    path = rows[alone]["path"]
    assert shown_path(browsing).endswith(path)
    expect(browsing.locator(".tile[aria-selected='true']")).to_have_attribute(
        "data-cluster", rows[alone]["cluster"]
    )
    expect(browsing.locator(".thumb[aria-pressed='true']")).to_have_attribute("aria-label", path)


def test_choosing_a_cluster_dims_the_others_on_the_map(browsing):
    saturated = """canvas => {
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const hues = {};
        for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] === 255) {
                const key = data.slice(i, i + 3).join();
                hues[key] = (hues[key] ?? 0) + 1;
            }
        }
        return Object.entries(hues).sort((a, b) => b[1] - a[1])[0][0];
    }"""
    opaque = []
    for cluster in (0, 1):
        browsing.locator(f".tile[data-cluster='{cluster}']").click()
        opaque.append(browsing.locator("canvas").evaluate(saturated))
    assert opaque[0] != opaque[1]
    swatch = browsing.locator(".tile[data-cluster='1'] i").evaluate(
        "dot => getComputedStyle(dot).backgroundColor"
    )
    assert opaque[1].split(",") == re.findall(r"\d+", swatch)


def test_downloads_are_the_runs_files(browsing, planted):
    for name in ("labels.txt", "clusters.csv"):
        with browsing.expect_download() as download:
            browsing.get_by_role("link", name=name).click()
        assert download.value.suggested_filename == name
        assert Path(download.value.path()).read_bytes() == (planted / name).read_bytes()
    with browsing.expect_download() as download:
        browsing.get_by_role("link", name="GIFs").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    assert inside == {file.name: file.read_bytes() for file in (planted / "gifs").iterdir()}


def test_nothing_is_cut_off_at_any_width(browsing, planted, shoot):
    shoot(browsing, "clusters")
    browsing.get_by_role("button", name="Options").click()
    give(browsing, Path(read_manifest(planted).folder))
    shoot(browsing, "options")


# --- jobs ---------------------------------------------------------------------------------------


def test_a_run_of_the_page_equals_that_of_the_command_line(mixed, tmp_path, monkeypatch):
    images, run = mixed
    command = read_manifest(run).command
    assert command == ["cluster", str(images), "--out", str(run)]
    command[-1] = str(tmp_path / "run")
    monkeypatch.setenv("SAFE_CACHE", str(tmp_path / "cache"))  # nothing is taken from the page's
    subprocess.run([sys.executable, "SAFE_Tool.py", *command], cwd=ROOT, check=True, timeout=300)
    assert any(name.startswith("gifs/") for name in content(run))
    assert content(tmp_path / "run") == content(run)


def test_the_command_line_shown_is_the_one_that_runs(failures, server, visit):
    page = visit(server.url)
    page.get_by_role("button", name="Options").click()
    page.get_by_role("textbox", name="Principal components").fill("7")
    page.get_by_label("min_samples of DBSCAN").fill("3")
    page.get_by_label("eps of DBSCAN").fill("0.25")
    page.get_by_label("Seed").fill("5")
    give(page, failures)
    shown = page.locator("#command textarea")
    expect(shown).to_have_value(re.compile("--seed 5"))
    line = shown.input_value()
    page.get_by_role("button", name="Find root cause clusters").click()
    wait_for_run(page, failures.name)
    manifest = read_manifest(server.runs / failures.name)
    assert "--components 7 --min-samples 3 --eps 0.25 --seed 5" in line
    parsed = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True
    )
    assert parsed.stdout.splitlines()[2:] == manifest.command
    assert manifest.parameters["components"] == 7
    assert manifest.parameters["seed"] == 5


def test_an_option_that_cannot_be_used_is_said_before_anything_starts(failures, server, visit):
    page = visit(server.url)
    page.get_by_role("button", name="Options").click()
    page.get_by_label("eps of DBSCAN").fill("wide")
    give(page, failures)
    page.get_by_role("button", name="Find root cause clusters").click()
    expect(page.locator("#job")).to_contain_text(
        "eps of DBSCAN: expected a number above 0, received 'wide'"
    )
    assert not (server.runs / failures.name).exists()


def test_a_stopped_job_goes_on_from_there(failures, server, visit):
    for number in range(40):
        pixels = np.random.default_rng().integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(failures / f"more {number}.png")
    page = visit(server.url)
    find(page, failures)
    wait_for_stage(page, "Extracting features")
    expect(page.locator("#job")).to_contain_text(re.compile(r"[1-9]\d* of 60"), timeout=LONG)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#job")).to_contain_text("Stopped.", timeout=60_000)
    run = server.runs / failures.name
    assert read_manifest(run).ended == "stopped"
    page.reload()
    find(page, failures)
    expect(page.locator("#command textarea")).to_have_value(re.compile("--overwrite"))
    wait_for_run(page, failures.name)
    manifest = read_manifest(run)
    assert manifest.ended == "finished"
    assert manifest.result["extracted"] < 60


def test_a_second_job_is_told_of_the_first(failures, server, visit):
    early = visit(server.url)
    page = visit(server.url)
    give(early, failures)
    find(page, failures)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    early.get_by_role("button", name="Find root cause clusters").click()
    expect(early.get_by_text("a job is running already")).to_be_visible()
    wait_for_stage(early, "Extracting features")
    wait_for_run(page, failures.name)


def test_a_job_that_is_killed_is_noticed(failures, server, visit):
    page = visit(server.url)
    find(page, failures)
    status = server.runs / failures.name / "status.json"
    deadline = time.monotonic() + 60
    while not status.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(json.loads(status.read_text())["pid"], signal.SIGKILL)
    expect(page.locator("#job")).to_contain_text("killed by SIGKILL", timeout=60_000)
    expect(page.get_by_role("button", name="Find root cause clusters")).to_be_enabled()


# --- folders that are not as they should be -----------------------------------------------------


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
    expect(page.locator("#job")).to_contain_text("holds no usable image", timeout=60_000)
    expect(page.locator("#job")).to_contain_text("readme.txt")


def test_files_that_cannot_be_used_are_counted_and_listed_with_their_reasons(mixed, server, visit):
    images, run = mixed
    page = visit(f"{server.url}?run={quote(str(run))}")
    wait_for_run(page, run.name)
    listed = page.locator(".rejected")
    expect(listed.locator("summary")).to_have_text("7 files could not be used")
    listed.locator("summary").click()
    for path, reason in read_pairs(run / "rejected.txt").items():
        expect(listed.locator("tr", has_text=path)).to_contain_text(reason)
    expect(listed.locator("tr", has_text="half.png")).to_contain_text("truncated")
    give(page, images)  # by their headers alone, where half an image looks whole
    expect(page.locator("#count")).to_have_text("21 usable images. 6 other files cannot be used.")


def test_names_are_text_wherever_they_are_shown(mixed, server, visit):
    images, run = mixed
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
    page.get_by_label(images.name, exact=True).check()
    page.get_by_role("button", name="Use this folder").click()
    expect(page.get_by_label(FOLDER)).to_have_value(str(images))
    give(page, images.parent / f"missing {HOSTILE[0]}")
    expect(page.locator("#count")).to_contain_text("missing <img")
    page.get_by_role("button", name="Find root cause clusters").click()
    expect(page.locator("#job")).to_contain_text("missing <img")
    assert page.evaluate("window.hit") is None


# --- runs and folders ---------------------------------------------------------------------------


def test_an_earlier_run_is_opened_from_the_list_or_by_its_path(example, mixed, server, visit):
    images, run = mixed
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
    mixed, failures, server, visit
):
    page = visit(f"{server.url}?run={quote(str(mixed[1]))}")
    wait_for_run(page, mixed[1].name)
    give(page, failures)
    expect(page.locator("#count")).to_have_text("20 usable images.")
    page.evaluate("""() => {
        const real = window.setTimeout;
        window.setTimeout = (call, delay, ...rest) =>
            real(call, delay === 80 ? 6000 : delay, ...rest);
    }""")
    page.locator(".tile[data-cluster='1']").click()
    page.get_by_role("button", name="Find root cause clusters").click()
    expect(page.locator("#clusters .empty")).to_be_visible()
    page.wait_for_timeout(6500)  # an error in the script by then fails the test
    wait_for_run(page, failures.name)


def test_a_fresh_page_opens_the_last_run_and_offers_the_folders_of_all(
    failures, mixed, server, visit
):
    first = visit(server.url)
    find(first, failures)
    wait_for_run(first, failures.name)
    page = visit(server.url)
    wait_for_run(page, failures.name)
    page.get_by_label(FOLDER).click()
    expect(page.get_by_role("option").first).to_have_text(re.compile(re.escape(str(failures))))
    page.get_by_role("option", name=str(mixed[0])).click()
    expect(page.locator("#count")).to_contain_text("21 usable images.")


def test_a_job_that_ends_leaves_the_run_that_was_opened_meanwhile(mixed, failures, server, visit):
    page = visit(server.url)
    find(page, failures)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    box = page.get_by_label("Open a run")
    box.fill(str(mixed[1]))
    box.press("Enter")
    wait_for_run(page, mixed[1].name)
    expect(page.locator("#job")).to_contain_text(f"open {failures.name}", timeout=LONG)
    wait_for_run(page, mixed[1].name)


def test_the_folder_picker_goes_down_and_up(failures, server, visit):
    page = visit(server.url)
    give(page, failures.parent)
    page.get_by_role("button", name="Browse").click()
    page.get_by_label(failures.name, exact=True).check()
    expect(page.locator(".folders")).to_contain_text(f"Folders in {failures}")
    page.get_by_label(".. (up)").check()
    page.get_by_label(failures.name, exact=True).check()
    expect(page.locator(".folders")).to_contain_text(f"Folders in {failures}")
    page.get_by_role("button", name="Use this folder").click()
    expect(page.get_by_label(FOLDER)).to_have_value(str(failures))
    expect(page.locator("#count")).to_have_text("20 usable images.")
    expect(page.locator(".folders")).to_be_hidden()


# --- size ---------------------------------------------------------------------------------------


def test_five_thousand_images_are_browsed_in_little_memory(serve, visit, shoot, tmp_path):
    write_run(tmp_path / "runs" / "large", tmp_path / "images", 5000, seed=1)
    with serve(tmp_path / "runs") as server:
        page = visit(server.url)
        expect(page.locator(".tile")).to_have_count(151)
        give(page, tmp_path / "images")
        expect(page.locator("#count")).to_have_text("5,000 usable images.", timeout=60_000)
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
        assert "tensorflow" not in server.loaded()


# --- who may reach it ---------------------------------------------------------------------------


def status_of(url, data=None, **headers):
    try:
        with urlopen(Request(url, data, headers)) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def test_a_foreign_host_or_origin_is_refused(server):
    assert status_of(server.url)[0] == 200
    for path in ("", "config", "gradio_api/info", "run/x/data"):
        assert status_of(server.url + path, Host="evil.example")[0] == 400
    assert status_of(server.url, Origin="http://evil.example")[0] == 403
    assert status_of(f"{server.url}gradio_api/upload", data=b"x")[0] == 404


def test_of_an_image_folder_nothing_is_served(mixed, server, visit):
    images, run = mixed
    page = visit(f"{server.url}?run={quote(str(run))}")
    expect(page.locator(".thumb").first).to_be_visible()
    thumbnail = page.locator(".thumb img").first.get_attribute("src")
    key = thumbnail.split("/")[1]
    for path in (
        f"gradio_api/file={images / 'page.html'}",
        f"gradio_api/file={server.url}theme.css",
        f"gradio_api/file={images / 'ramp 3.png'}",
        f"gradio_api/file={run / 'labels.txt'}",
        f"run/{key}/thumbnails/../../../page.html",
        f"run/{key}/download/page.html",
    ):
        code, body = status_of(server.url + quote(path, safe="/="))
        assert code in {403, 404}
        assert b"window.hit" not in body
    code, body = status_of(f"{server.url}run/{key}/thumbnails/..%2F..%2F..%2Fpage.html")
    assert code == 404
    assert status_of(server.url + thumbnail)[0] == 200


def test_nothing_outside_of_the_roots_is_reached(serve, failures, visit, tmp_path):
    inside = tmp_path / "inside"
    (inside / "images").mkdir(parents=True)
    (inside / "way out").symlink_to(failures)
    with serve(tmp_path / "runs", "--root", inside) as server:
        page = visit(server.url)
        refusal = "lies outside of the folders that this page may use"
        for path in (failures, inside / ".." / failures.name, inside / "way out"):
            give(page, path)
            expect(page.locator("#count")).to_contain_text(refusal)
            page.get_by_role("button", name="Find root cause clusters").click()
            expect(page.locator("#job")).to_contain_text(refusal)
            page.reload()
        box = page.get_by_label("Open a run")
        box.fill(str(failures))
        box.press("Enter")
        expect(page.locator("#job")).to_contain_text(refusal)
        page.get_by_role("button", name="Options").click()
        page.get_by_label("Run folder").fill(str(tmp_path / "elsewhere"))
        give(page, inside / "images")
        page.get_by_role("button", name="Find root cause clusters").click()
        expect(page.locator("#job")).to_contain_text(str(tmp_path / "elsewhere"))
        expect(page.locator("#job")).to_contain_text(refusal)
        assert not (tmp_path / "elsewhere").exists()
        page.get_by_label("Run folder").fill("")
        page.get_by_role("button", name="Parameters").click()
        for field in ("Parameter tables", "Unsafe values"):
            page.get_by_label(field).fill(str(failures / "table.csv"))
            page.get_by_role("button", name="Find root cause clusters").click()
            expect(page.locator("#job")).to_contain_text(f"table.csv {refusal}")
            page.get_by_label(field).fill(str(inside / "table.csv"))
        give(page, inside)
        page.get_by_role("button", name="Browse").click()
        expect(page.get_by_label("images", exact=True)).to_be_visible()
        expect(page.get_by_label(".. (up)")).to_have_count(0)
        page.goto(f"{server.url}?run={failures}")
        expect(page.locator("#job")).to_contain_text(refusal)


def test_another_host_needs_a_login(serve, chromium, tmp_path):
    (tmp_path / "password").write_text("open sesame\n")
    (tmp_path / "images").mkdir()
    login = ("--auth", f"ali:{tmp_path / 'password'}", "--root", tmp_path / "images")
    with serve(tmp_path / "runs", "--host", "0.0.0.0", *login) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert status_of(f"{url}config")[0] == 401
        assert status_of(url, Host="evil.example")[0] == 400
        page = chromium.new_context().new_page()
        page.goto(url)
        page.get_by_label("username").fill("ali")
        page.get_by_label("password").fill("open sesame")
        page.get_by_role("button", name="Login").click()
        expect(page.locator("#find")).to_be_visible()
        page.context.close()


def test_another_host_without_a_login_is_refused():
    done = subprocess.run(
        [sys.executable, "SAFE_Tool.py", "--host", "0.0.0.0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "needs --auth USER:PASSWORD-FILE and at least one --root DIR" in done.stderr
