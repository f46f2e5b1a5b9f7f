"""The findings on clusters and families, as a user of the Clusters tab sees them in a browser."""

import html
import shutil

from playwright.sync_api import expect

from pipelines.clusters.explanation import read_explanation
from pipelines.data.parameters import count_left_out
from pipelines.runs.files import read_csv
from tests.ui.clicks import unfold
from tests.ui.explanation.explained import (
    HOSTILE,
    TILE_ORDER,
    choose,
    colour_by,
    expect_saved,
    tile,
)

# --- families -------------------------------------------------------------------------------------


def test_tiles_stand_family_by_family_and_noise_last(browsing):
    tiles = browsing.locator(".tile")
    assert [tile.get_attribute("data-cluster") for tile in tiles.all()] == TILE_ORDER
    brackets = browsing.locator(".family")
    expect(brackets).to_have_count(2)  # a family of one cluster has none
    inside = [bracket.locator(".tile") for bracket in brackets.all()]
    assert [[tile.get_attribute("data-cluster") for tile in group.all()] for group in inside] == [
        ["1", "2"],
        ["3", "4"],
    ]
    expect(brackets.first.locator(".bracket")).to_contain_text("Family 0 · 22 images · ")
    expect(browsing.locator(".facts")).to_have_text(
        "6 root cause clusters in 4 families of 64 images; 7 images (11 %) are noise. "
        "Five images of each cluster make up 47 % of all images, five of each family 31 %."
    )


def test_arrow_keys_follow_the_order_that_is_shown(browsing):
    for key, expected in [("Home", "1"), ("ArrowRight", "2"), ("ArrowRight", "0"),
                          ("ArrowRight", "3"), ("ArrowLeft", "0"), ("End", "-1")]:  # fmt: skip
        browsing.locator(".tile[aria-selected='true']").focus()
        browsing.keyboard.press(key)
        expect(tile(browsing, expected)).to_have_attribute("aria-selected", "true")
        expect(tile(browsing, expected)).to_be_focused()
    expect(browsing.locator(".tile[aria-selected='true']")).to_have_count(1)
    expect(browsing.locator(".tile[tabindex='0']")).to_have_count(1)


# --- the findings on a cluster --------------------------------------------------------------------


def test_the_findings_on_a_cluster_stand_beside_it(browsing, explained_run):
    explanation = read_explanation(explained_run)
    assert explanation.clusters[4].unsafe_values == [0]
    for cluster, findings in explanation.clusters.items():
        choose(browsing, cluster)
        hints = [hint.words for hint in findings.hints]
        expect(browsing.locator(".hints > li")).to_have_text(hints)
        parameters = [finding.words for finding in findings.parameters]
        expect(browsing.locator("ul.parameters > li")).to_have_text(parameters)
        expect(browsing.locator(".confusions > li")).to_have_text(
            [
                f"{pair.label} taken for {pair.prediction}: {pair.images} images"
                for pair in findings.confusions
            ]
        )
        beside = ["Next to yaw near 40"] if findings.unsafe_values else []
        expect(browsing.locator(".values > li")).to_have_text(beside)
    choose(browsing, 1)
    expect(browsing.locator(".parameters li b").first).to_have_text("yaw")
    expect(browsing.locator(".kin li").first).to_have_text("Family 0 · 2 clusters · 22 images")
    choose(browsing, -1)
    expect(browsing.locator(".explanation")).to_be_hidden()


def test_more_than_three_findings_open_at_a_click(explained_run, tmp_path, server, visit):
    run = tmp_path / "many"
    shutil.copytree(explained_run, run)
    explanation = read_explanation(run)
    findings = explanation.clusters[1]
    findings.parameters = [findings.parameters[0]] * 5
    (run / "explanation.json").write_text(explanation.model_dump_json())
    page = visit(f"{server.url}?run={run}&cluster=1")
    visible_findings = page.locator(".parameters li:visible")
    expect(visible_findings).to_have_count(3)
    page.locator("details", has=page.locator("ul.parameters")).locator("summary").click()
    expect(visible_findings).to_have_count(5)


def test_unsafe_values_and_problems_of_tables_are_listed(browsing, explained_run):
    summary = browsing.locator(".unsafe summary")
    expect(summary).to_contain_text("1 of 3 unsafe values is covered by clusters")
    expect(summary).to_contain_text("1 has no failing image next to it")
    summary.click()
    expect(browsing.locator(".unsafe tr", has_text="yaw near 40")).to_contain_text("Cluster 4")
    problem_list = browsing.locator(".problems")
    problems = read_explanation(explained_run).problems
    left_out = count_left_out(problems)
    count = (
        f"{left_out} {'entry' if left_out == 1 else 'entries'} of the parameter tables could not"
    )
    expect(problem_list.locator("summary")).to_contain_text(count)
    row = problem_list.locator("tr", has_text="n/a")
    expect(row).to_contain_text("parameters.csv")
    expect(row).to_contain_text("yaw")
    expect(row).to_contain_text("expected a number, received")


# --- the engineer's verdict -----------------------------------------------------------------------


def test_a_verdict_is_saved_and_survives_a_reload(browsing, explained_run):
    before = read_csv(explained_run / "clusters.csv")
    choose(browsing, 2)
    expect(tile(browsing, 2).locator(".mark")).to_be_hidden()
    browsing.get_by_label("Verdict").select_option("plausible cause")
    expect_saved(browsing)
    browsing.get_by_label("Severity").fill("S2")
    browsing.get_by_label("Likelihood").press_sequentially("<b>E3</b>")
    browsing.get_by_label("Note").focus()
    expect_saved(browsing)
    after = read_csv(explained_run / "clusters.csv")
    words = {"verdict": "plausible cause", "severity": "S2", "likelihood": "<b>E3</b>"}
    assert after[2] == before[2] | words
    assert after[:2] + after[3:] == before[:2] + before[3:]
    browsing.reload()
    expect(browsing.get_by_label("Verdict")).to_have_value("plausible cause")
    expect(browsing.get_by_label("Severity")).to_have_value("S2")
    expect(browsing.get_by_label("Likelihood")).to_have_value("<b>E3</b>")
    mark = tile(browsing, 2).locator(".mark")
    expect(mark).to_be_visible()
    expect(mark).to_have_attribute("title", "plausible cause")
    expect(browsing.get_by_role("option", name="plausible cause Cluster 2")).to_be_visible()
    browsing.get_by_label("Verdict").select_option("")
    expect_saved(browsing)
    expect(mark).to_be_hidden()
    assert read_csv(explained_run / "clusters.csv")[2]["verdict"] == ""


def test_a_verdict_that_is_not_in_the_list_is_refused(browsing, explained_run):
    before = (explained_run / "clusters.csv").read_bytes()
    choose(browsing, 3)
    browsing.get_by_label("Verdict").evaluate("""select => {
        select.append(new Option("certain"));
        select.value = "certain";
        select.dispatchEvent(new Event("input"));
    }""")
    expect(browsing.locator(".saved")).to_contain_text("Cluster 3 is not saved: verdict: expected")
    assert (explained_run / "clusters.csv").read_bytes() == before


# --- the report -----------------------------------------------------------------------------------


def test_the_report_opens_beside_the_page_with_the_words_that_were_typed_last(browsing):
    choose(browsing, 5)
    browsing.get_by_label("Name").fill("<i>typed</i> last")
    with browsing.context.expect_page() as new_page:
        browsing.get_by_role("link", name="Report").click()
    report = new_page.value
    report.wait_for_load_state()
    assert report.url.endswith("/report.html")
    assert html.escape("<i>typed</i> last") in report.content()
    expect(report.get_by_text("<i>typed</i> last").first).to_be_visible()
    expect(browsing.get_by_label("Name")).to_have_value("<i>typed</i> last")


# --- runs of older versions, and what is given afterwards -----------------------------------------


def test_nothing_is_cut_off_at_any_width(browsing, shoot):
    colour_by(browsing, HOSTILE[1])
    choose(browsing, 4)
    shoot(browsing, "explained")
    unfold(browsing, "Parameters")
    shoot(browsing, "given")
