"""The Clusters tab as its user meets it: a real server, real jobs, a real browser."""

import re
import shutil
import zipfile
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from playwright.sync_api import expect

from pipelines.runs.files import read_csv, read_pairs
from pipelines.runs.manifest import read_manifest
from tests.planted import UNSAFE_VALUES
from tests.ui.clicks import give, new_page, order, path_of_detail, unfold
from tests.waiting import until


@pytest.fixture(scope="module")
def planted(planted, tmp_path_factory):
    """Copy the run whose clusters are the same on every machine: tests write words into it."""
    return shutil.copytree(planted, tmp_path_factory.mktemp("planted") / planted.name)


@pytest.fixture
def browsing(planted, server, visit):
    page = visit(f"{server.url}?run={planted}")
    expect(page.locator(".tile").first).to_be_visible()
    return page


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
    clusters = order(planted)

    def check_choice(place):
        cluster = clusters[place]
        expect(browsing.locator(".tile[aria-selected='true']")).to_have_attribute(
            "data-cluster", cluster
        )
        expect(gif).to_have_attribute("src", re.compile(rf"gifs/cluster_{int(cluster):03d}\.gif$"))
        expect(browsing.locator("dl")).to_contain_text(rows[cluster]["central_image"])
        return True

    assert check_choice(0)
    browsing.locator(f".tile[data-cluster='{clusters[3]}']").click()
    assert check_choice(3)
    browsing.keyboard.press("ArrowRight")
    assert check_choice(4)
    browsing.keyboard.press("ArrowLeft")
    browsing.keyboard.press("ArrowLeft")
    assert check_choice(2)
    browsing.keyboard.press("Home")
    assert check_choice(0)
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
    with_hint = next(cluster for cluster, hint in rows.items() if hint)
    without_hint = next(cluster for cluster, hint in rows.items() if not hint)
    for cluster in (with_hint, without_hint):
        browsing.locator(f".tile[data-cluster='{cluster}']").click()
        expected = rows[cluster].split("; ") if rows[cluster] else []
        expect(browsing.locator(".hints li")).to_have_text(expected)


def test_a_cluster_is_explained_by_its_parameters(browsing, planted):
    rows = {row["cluster"]: row["parameters"] for row in read_csv(planted / "clusters.csv")}
    with_parameters = next(cluster for cluster, parameters in rows.items() if parameters)
    browsing.locator(f".tile[data-cluster='{with_parameters}']").click()
    first = rows[with_parameters].split("; ")[0]
    expect(browsing.locator("ul.parameters li").first).to_have_text(first)
    expect(browsing.locator(".confusions li").first).to_contain_text(" taken for ")
    expect(browsing.locator(".unsafe summary")).to_contain_text(f"of {UNSAFE_VALUES} unsafe values")
    browsing.locator(".colouring select").select_option(label="gaze_angle")
    expect(browsing.locator(".key")).to_contain_text("360°")


def test_the_grid_pages_through_all_images_of_a_cluster(browsing, planted):
    labels = read_pairs(planted / "labels.txt")
    noise = {path for path, label in labels.items() if label == "-1"}
    browsing.locator(".tile").last.click()
    expect(browsing.locator(".pager")).to_contain_text(f"of {len(noise)}")
    paths = []
    while True:
        paths += [thumb.get_attribute("aria-label") for thumb in browsing.locator(".thumb").all()]
        later = browsing.get_by_role("button", name="Later images")
        if later.is_disabled():
            break
        later.click()
    assert len(paths) > 48
    assert sorted(paths) == sorted(noise)
    distances = {
        row["path"]: float(row["distance_to_centre"]) for row in read_csv(planted / "images.csv")
    }
    assert [distances[path] for path in paths] == sorted(distances[path] for path in paths)


def test_pointing_at_an_image_tells_its_path_and_distance_and_a_click_keeps_them(browsing, planted):
    distances = {row["path"]: row["distance_to_centre"] for row in read_csv(planted / "images.csv")}
    folder = Path(read_manifest(planted).folder)
    first, second = (browsing.locator(".thumb").nth(number) for number in (0, 5))
    path = first.get_attribute("aria-label")
    first.hover()
    assert path_of_detail(browsing) == str(folder / path)
    assert f"{float(distances[path]):.4f}" in browsing.locator(".detail").inner_text()
    second.click()
    browsing.locator("h2").hover()
    assert path_of_detail(browsing) == str(folder / second.get_attribute("aria-label"))


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


def test_words_that_cannot_be_saved_give_an_error_and_are_kept(browsing, planted):
    (planted / "clusters.csv").rename(planted / "away.csv")
    try:
        browsing.locator(".tile[data-cluster='5']").click()
        browsing.get_by_label("Name").fill("lost?")
        expect(browsing.locator(".saved")).to_contain_text("lost? is not saved")
        expect(browsing.get_by_label("Name")).to_have_value("lost?")
    finally:
        (planted / "away.csv").rename(planted / "clusters.csv")
    browsing.get_by_label("Name").fill("glasses")
    expect(browsing.locator(".saved")).to_have_text("Saved")
    assert read_csv(planted / "clusters.csv")[5]["name"] == "glasses"


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
    page = new_page(chromium)
    page.goto(f"{server.url}?run={planted}&cluster=7")
    page.get_by_label("Name").fill("last words")
    with page.expect_event("close"):  # or the browser would be gone before the page is
        page.close(run_before_unload=True)
    until(lambda: read_csv(planted / "clusters.csv")[7]["name"] == "last words")
    page.context.close()  # before, it would break off what the closed page had sent


def test_what_is_typed_just_before_another_cluster_is_chosen_is_saved_to_its_own(browsing, planted):
    browsing.locator(".tile[data-cluster='3']").click()
    browsing.get_by_label("Name").fill("quick")
    browsing.locator(".tile[data-cluster='4']").click()
    expect(browsing.get_by_label("Name")).to_have_value("")

    def names():
        return {row["cluster"]: row["name"] for row in read_csv(planted / "clusters.csv")}

    until(lambda: names()["3"])  # it may have been saved, with its message, before the click
    assert (names()["3"], names()["4"]) == ("quick", "")


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
    assert path_of_detail(browsing).endswith(path)
    expect(browsing.locator(".tile[aria-selected='true']")).to_have_attribute(
        "data-cluster", rows[alone]["cluster"]
    )
    expect(browsing.locator(".thumb[aria-pressed='true']")).to_have_attribute("aria-label", path)


def test_choosing_a_cluster_dims_the_others_on_the_map(browsing):
    count_saturated = """canvas => {
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
        opaque.append(browsing.locator("canvas").evaluate(count_saturated))
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
    unfold(browsing, "Options")
    give(browsing, Path(read_manifest(planted).folder))
    shoot(browsing, "options")
