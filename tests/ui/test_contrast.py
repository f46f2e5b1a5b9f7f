"""Failure rates and situations as the user of the Clusters tab meets them."""

import re

import pytest
from playwright.sync_api import expect

from pipelines.clusters.rates import AS_COMMON, SITUATION, TOO_FEW
from pipelines.runs.files import read_csv
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest
from tests.planted import USUAL

PASSING = "Passing images of the same test, or the folder of a test"


@pytest.fixture(scope="module")
def planted(planted_beside_passing):
    return planted_beside_passing


@pytest.fixture
def browsing(planted, server, visit):
    page = visit(f"{server.url}?run={planted}")
    expect(page.locator(".tile").first).to_be_visible()
    return page


def rows_of(run):
    return {row["cluster"]: row for row in read_csv(run / "clusters.csv")}


def test_the_headline_counts_situations_and_what_is_none(browsing, planted):
    kinds = [row["kind"] for row in rows_of(planted).values()]
    facts = browsing.locator("#clusters .facts")
    expect(facts).to_contain_text(f"{kinds.count(SITUATION)} situations that fail more often")
    expect(facts).to_contain_text("60 images without a common look")
    expect(facts).to_contain_text(re.compile(r"The DNN fails on 221 of 371 images \(59\.6.%\)"))


def test_clusters_stand_below_what_they_are(browsing, planted):
    rows = rows_of(planted)
    for kind, title in (
        (SITUATION, "Situations that fail more often than the rest"),
        (TOO_FEW, "Too few images to tell"),
        (AS_COMMON, "As common among passing images"),
    ):
        clusters = {cluster for cluster, row in rows.items() if row["kind"] == kind}
        assert clusters
        group = browsing.get_by_role("group", name=title)
        tiles = group.locator(".tile")
        expect(tiles).to_have_count(len(clusters))
        assert {tile.get_attribute("data-cluster") for tile in tiles.all()} == clusters


def test_a_cluster_says_how_often_images_like_its_own_fail(browsing, planted):
    browsing.locator(".tile[data-cluster='0']").click()
    rate = browsing.locator(".explanation .rate")
    expect(rate).to_contain_text(
        re.compile(r"fails on 30 of 32 images like these \(94.%, 95.% inter")
    )
    expect(rate).to_contain_text(re.compile("elsewhere 56.%"))
    expect(browsing.locator(".tile[data-cluster='0'] .fails")).to_contain_text("fails 94")
    too_few = next(name for name, row in rows_of(planted).items() if row["kind"] == TOO_FEW)
    expect(browsing.locator(f".tile[data-cluster='{too_few}'] .fails")).to_have_count(0)
    browsing.locator(".tile[data-cluster='1']").click()
    expect(rate).to_contain_text(re.compile(r"fails on 24 of 54 images like these \(44.%"))
    hints = browsing.locator(".hints li")
    browsing.locator(".tile[data-cluster='0']").click()
    expect(hints.first).to_contain_text("than passing images")


def test_parameters_are_compared_with_passing_images_and_a_note_says_which_are_not(browsing):
    parameters = browsing.locator(".parameters li")
    browsing.locator(".tile[data-cluster='1']").click()
    expect(parameters.filter(has_text="yaw")).to_contain_text(
        re.compile(r"yaw: mean (9|10)(\.\d+)? against (19\.9|20)\d*(\.\d+)? of passing images")
    )
    browsing.locator(f".tile[data-cluster='{USUAL}']").click()
    expect(parameters.filter(has_text="yaw")).to_have_count(0)
    note = "gaze_angle, label, prediction: no values of passing images; compared with the other"
    expect(browsing.locator("#clusters .note").filter(has_text=note)).to_have_count(1)


def test_appearances_come_one_after_the_other(browsing, planted):
    browsing.locator(".tile[data-cluster='0']").click()
    expect(browsing.locator("#clusters dl")).to_contain_text("Appearances")
    expect(browsing.locator(".pager")).to_contain_text("appearance by appearance")
    part_of_image = {row["path"]: row["part"] for row in read_csv(planted / "images.csv")}
    parts_in_order = [
        part_of_image[thumb.get_attribute("aria-label")]
        for thumb in browsing.locator(".thumb").all()
    ]
    assert parts_in_order == sorted(parts_in_order)
    assert set(parts_in_order) == {"0", "1"}


def test_noise_has_no_rate(browsing):
    browsing.locator(".tile").last.click()
    expect(browsing.locator("#clusters dl")).to_contain_text("Most central")
    expect(browsing.locator(".explanation .rate")).to_have_count(0)


def test_nothing_is_cut_off_at_any_width(browsing, shoot):
    shoot(browsing, "situations")


def test_passing_images_go_into_the_command(server, visit, planted):
    page = visit(server.url)
    images = planted.parent
    page.get_by_label("Folder of images on which the DNN failed").fill(str(images / "images"))
    page.get_by_label("Folder of images on which the DNN failed").press("Enter")
    page.get_by_label(PASSING).fill(str(images / "passing"))
    page.get_by_label(PASSING).press("Enter")
    line = page.locator("#command textarea")
    expect(line).to_have_value(re.compile(f"--passing {re.escape(str(images))}/passing"))


def test_a_test_is_offered_and_names_its_images_itself(server, visit, planted):
    run = server.runs / "a test"
    manifest = Manifest(
        job="test", command=[], folder=str(planted.parent / "images"), parameters={},
        result={
            "images": 70, "failures": 7,
            "accuracy": 0.9, "accuracy_low": 0.81, "accuracy_high": 0.95,
        },
    )  # fmt: skip
    if not run.exists():
        with open_run(run, manifest, lambda *step: None):
            pass
    page = visit(server.url)
    page.get_by_label(PASSING).click()
    page.get_by_role("option", name="a test · test with 7 failures").click()
    line = page.locator("#command textarea")
    expect(line).to_have_value(re.compile("cluster --out .*images --test-run .*a test"))
