"""Runs of older versions, and tables that explain a run afterwards."""

import os
import re
import signal
from pathlib import Path

from playwright.sync_api import expect

from pipelines.clusters.explanation import read_explanation
from pipelines.runs.files import read_csv, replace_cells
from tests.ui.clicks import LONG, unfold
from tests.ui.explanation.explained import colour_by, expect_saved, tile
from tests.waiting import until


def test_a_run_of_an_older_version_opens(older, server, visit):
    page = visit(f"{server.url}?run={older}")
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(7)
    assert [tile.get_attribute("data-cluster") for tile in tiles.all()] == [*"012345", "-1"]
    expect(page.locator(".hints li")).to_have_text(
        ["darker than the rest", "blurrier than the rest"]
    )
    expect(page.locator(".family")).to_have_count(0)
    expect(page.locator(".colouring")).to_be_hidden()
    expect(page.locator(".unsafe, .problems")).to_have_count(0)
    expect(page.locator(".facts")).to_contain_text("6 root cause clusters of 64 images; ")
    page.get_by_label("Verdict").select_option("unclear")
    expect_saved(page)
    assert read_csv(older / "clusters.csv")[0]["verdict"] == "unclear"


def test_tables_explain_the_open_run_afterwards(older, server, visit):
    page = visit(f"{server.url}?run={older}&cluster=2")
    page.get_by_label("Name").fill("turned heads")
    expect_saved(page)
    unfold(page, "Parameters")
    page.get_by_role("button", name="Use labels.csv, parameters.csv and unsafe_values.csv").click()
    expect(page.get_by_label("Parameter tables")).to_have_value(
        re.compile(r"labels\.csv\n.*parameters\.csv$")
    )
    expect(page.get_by_label("Unsafe values")).to_have_value(re.compile(r"/unsafe_values\.csv$"))
    page.get_by_label("Angles").fill(" turn, ")
    page.get_by_role("button", name="Explain the open run").click()
    expect(page.get_by_label("Name")).to_be_disabled()  # its job could not let words be saved
    expect(page.locator(".saved")).to_contain_text("when the job has finished")
    expect(page.locator(".parameters li").first).to_contain_text("yaw", timeout=LONG)
    expect(page.get_by_label("Name")).to_have_value("turned heads")
    expect(page.get_by_label("Name")).to_be_enabled()
    expect(tile(page, 2)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#job [role]")).to_have_count(0)
    explanation = read_explanation(older)
    assert explanation.angles == ["turn"]
    assert [Path(file).name for file in explanation.parameter_files] == [
        "labels.csv",
        "parameters.csv",
    ]
    colour_by(page, "turn")
    expect(page.locator(".key")).to_contain_text("360°")
    page.get_by_label("Parameter tables").fill("")
    page.get_by_role("button", name="Explain the open run").click()
    expect(page.locator("#job")).to_contain_text("give their table, too")
    page.get_by_label("Unsafe values").fill("")
    page.get_by_label("Angles").fill("")
    page.get_by_role("button", name="Explain the open run").click()
    expect(page.get_by_label("Name")).to_be_disabled()
    expect(page.get_by_label("Name")).to_be_enabled(timeout=LONG)
    assert read_explanation(older) == explanation  # by the tables of the earlier explanation


def job_of(server):
    """Return the process of the server's job, as soon as there is one."""
    tasks = Path(f"/proc/{server.process.pid}/task")

    def first():
        children = [pid for file in tasks.glob("*/children") for pid in file.read_text().split()]
        return int(children[0]) if children else None

    return until(first, describe=lambda: "no job was started", pause=0.01)


def test_a_tab_that_opens_a_run_while_another_explains_it_follows(older, server, visit):
    other = visit(server.url)
    page = visit(f"{server.url}?run={older}")
    expect(tile(page, 0)).to_be_visible()
    for tab in (page, other):
        unfold(tab, "Parameters")
    page.get_by_role("button", name="Explain the open run").click()
    expect(page.get_by_label("Name")).to_be_disabled()
    job = job_of(server)
    os.kill(job, signal.SIGSTOP)
    box = other.get_by_label("Open a run")
    box.fill(str(older))
    box.press("Enter")
    expect(other.get_by_label("Name")).to_be_disabled()
    expect(other.get_by_role("button", name="Explain the open run")).to_be_disabled()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Kill")).to_be_visible()
    os.kill(job, signal.SIGCONT)
    for tab in (page, other):
        expect(tab.locator("#job")).to_contain_text("explain the run again", timeout=LONG)
        expect(tab.get_by_label("Name")).to_be_enabled()
        expect(tab.get_by_role("button", name="Explain the open run")).to_be_enabled()


def test_tables_beside_other_images_are_not_used(older, server, visit, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "parameters.csv").write_text("path,yaw\n000.png,1\n")
    page = visit(f"{server.url}?run={older}")
    expect(tile(page, 0)).to_be_visible()
    unfold(page, "Parameters")
    box = page.get_by_label("Folder of images on which the DNN failed")
    box.fill(str(other))
    box.press("Enter")
    page.get_by_role("button", name="Use parameters.csv").click()
    expect(page.get_by_label("Parameter tables")).to_have_value(str(other / "parameters.csv"))
    page.get_by_role("button", name="Explain the open run").click()
    expect(page.locator("#job")).to_contain_text("lies beside other images than")
    box.fill("")
    box.press("Enter")  # and what was taken from there goes with it
    expect(page.get_by_label("Parameter tables")).to_have_value("")


def test_a_verdict_that_a_table_holds_and_none_may_choose(older, server, visit):
    rows = read_csv(older / "clusters.csv")
    replace_cells(older / "clusters.csv", "cluster", {rows[0]["cluster"]: {"verdict": "OK"}})
    page = visit(f"{server.url}?run={older}&cluster={rows[0]['cluster']}")
    expect(page.get_by_label("Verdict")).to_have_value("OK")
    expect(page.get_by_label("Verdict").locator("option[value='OK']")).to_be_disabled()


def test_a_table_that_cannot_be_used_gives_an_error_and_the_run_stays_open(older, server, visit):
    page = visit(f"{server.url}?run={older}&cluster=3")
    expect(tile(page, 3)).to_have_attribute("aria-selected", "true")
    unfold(page, "Parameters")
    page.get_by_label("Parameter tables").fill(str(older / "nowhere.csv"))
    page.get_by_role("button", name="Explain the open run").click()
    expect(page.locator("#job")).to_contain_text("nowhere.csv", timeout=LONG)
    expect(page.get_by_label("Name")).to_be_enabled()
    expect(tile(page, 3)).to_have_attribute("aria-selected", "true")
    page.get_by_label("Name").fill("still here")
    expect_saved(page)
    box = page.get_by_label("Open a run")
    box.fill(str(older.parent))
    box.press("Enter")
    page.get_by_role("button", name="Explain the open run").click()
    expect(page.locator("#job")).to_contain_text(f"{older.parent} is not a run folder")
