"""Jobs that are started, followed and stopped on the page."""

import json
import os
import re
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from examples.sampling import UNSAFE_VALUES as ALL_UNSAFE
from pipelines.runs.files import read_csv
from pipelines.runs.manifest import read_manifest
from tests.ui.clicks import LONG, find, give, unfold, wait_for_run, wait_for_stage
from tests.waiting import until

# --- from the first click to a named cluster ------------------------------------------------------


def test_the_example_is_found_and_explained_with_its_parameters(example, server, visit):
    """What holds whatever the example's DNN, trained on this machine, gets wrong."""
    command = read_manifest(example).command
    tables = [
        Path(a).name for o, a in pairwise(command) if o in {"--parameters", "--unsafe-values"}
    ]
    assert tables == ["parameters.csv", "unsafe_values.csv"]
    page = visit(f"{server.url}?run={example}")
    rows = read_csv(example / "clusters.csv")
    expect(page.locator(".tile")).to_have_count(len(rows))
    clusters = [tile.get_attribute("data-cluster") for tile in page.locator(".tile").all()]
    assert clusters == [row["cluster"] for row in rows]
    expect(page.locator(".unsafe summary")).to_contain_text(f"of {len(ALL_UNSAFE)} unsafe values")
    expect(page.locator(".colouring option", has_text="gaze_angle")).to_have_count(1)
    images = {row["path"] for row in read_csv(example / "images.csv")}
    failures = Path(read_manifest(example).folder).parent / "failures"
    assert images == {file.name for file in failures.glob("*.jpg")}


# --- jobs -----------------------------------------------------------------------------------------


def test_a_job_of_the_page_is_the_command_line_of_its_folder(hostile_folder):
    """That such a command gives the same bytes as when it is typed is a test of the jobs."""
    images, run = hostile_folder
    assert read_manifest(run).command == ["cluster", str(images), "--out", str(run)]


def test_the_command_line_shown_is_the_one_that_runs(failures, server, visit):
    page = visit(server.url)
    unfold(page, "Options")
    page.get_by_role("textbox", name="Principal components").fill("7")
    page.get_by_label("min_samples of DBSCAN").fill("3")
    page.get_by_label("eps of DBSCAN").fill("0.25")
    page.get_by_label("Seed").fill("5")
    give(page, failures)
    field = page.locator("#command textarea")
    expect(field).to_have_value(re.compile("--seed 5"))
    line = field.input_value()
    page.get_by_role("button", name="Find root cause clusters").click()
    wait_for_run(page, failures.name)
    manifest = read_manifest(server.runs / failures.name)
    assert "--components 7 --min-samples 3 --eps 0.25 --seed 5" in line
    result = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[2:] == manifest.command
    assert manifest.parameters["components"] == 7
    assert manifest.parameters["seed"] == 5


def test_an_option_that_cannot_be_used_gives_an_error_before_anything_starts(
    failures, server, visit
):
    page = visit(server.url)
    unfold(page, "Options")
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
    expect(page.locator("#job")).to_contain_text("Stopped.", timeout=LONG)
    run = server.runs / failures.name
    assert read_manifest(run).ended == "stopped"
    page.reload()
    find(page, failures)
    expect(page.locator("#command textarea")).to_have_value(re.compile("--overwrite"))
    wait_for_run(page, failures.name)
    manifest = read_manifest(run)
    assert manifest.ended == "finished"
    assert manifest.result["extracted"] < 60


def test_a_second_job_is_refused_and_the_first_is_shown(failures, server, visit):
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
    until(status.is_file)
    os.kill(json.loads(status.read_text())["pid"], signal.SIGKILL)
    expect(page.locator("#job")).to_contain_text("killed by SIGKILL", timeout=LONG)
    expect(page.get_by_role("button", name="Find root cause clusters")).to_be_enabled()


# --- runs and folders -----------------------------------------------------------------------------


def test_a_job_that_ends_leaves_the_run_that_was_opened_meanwhile(
    hostile_folder, failures, server, visit
):
    page = visit(server.url)
    find(page, failures)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    box = page.get_by_label("Open a run")
    box.fill(str(hostile_folder[1]))
    box.press("Enter")
    wait_for_run(page, hostile_folder[1].name)
    expect(page.locator("#job")).to_contain_text(f"open {failures.name}", timeout=LONG)
    wait_for_run(page, hostile_folder[1].name)
