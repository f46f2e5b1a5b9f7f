"""What is said of clusters, as the user of the Clusters tab meets it: in a real browser."""

import html
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from pipelines.clusters.clusters import (
    CLUSTER_COLUMNS,
    RootCauseClusters,
    centre_distances,
    map_places,
    write_clusters,
)
from pipelines.clusters.explanation import read_explanation, write_explanation
from pipelines.clusters.pictures import draw_clusters
from pipelines.data.images import check_image
from pipelines.data.parameters import left_out
from pipelines.runs.files import read_csv, replace_cells, write_csv
from pipelines.runs.folder import open_run
from pipelines.runs.manifest import Manifest

ROOT = Path(__file__).parents[2]
HOSTILE = ("<img src=x onerror=window.hit=1>", "${window.hit=2}", "=`${window.hit=3}`")
SIZES = (16, 12, 10, 8, 6, 5)  # of clusters 0 to 5
NOISE = 7
FAMILIES = {1: 0, 2: 0, 0: 1, 3: 2, 4: 2, 5: 3}  # the largest has two clusters, and not cluster 0
SHOWN = ["1", "2", "0", "3", "4", "5", "-1"]
OLDER = ("cluster", "name", "note", "size", "share", "cores", "silhouette", "hint", "central_image")


def labels_of():
    return np.repeat([*range(len(SIZES)), -1], [*SIZES, NOISE]).astype(np.int32)


def write_tables(folder):
    """Write what is known of the images: clusters share the yaw, and little else."""
    rng = np.random.default_rng(0)
    rows, labels = [], []
    for number, cluster in enumerate(labels_of()):
        yaw = f"{10 * cluster + rng.normal(0, 0.5):.2f}" if cluster >= 0 else f"{number % 40}"
        path = f"eye {number:02d}.png"
        turn = f"{rng.uniform(0, 360):.1f}"
        rows.append((path, yaw if number != 3 else "n/a", turn, HOSTILE[number % 3]))
        labels.append((path, "left", "right" if cluster % 2 else HOSTILE[0]))
    # Not the tool's own writer: it would guard what looks like a formula.
    tables = {
        "parameters.csv": [("path", "yaw", "turn", HOSTILE[1]), *rows],
        "labels.csv": [("path", "label", "prediction"), *labels],
        "unsafe_values.csv": [("parameter", "value", "side"), ("yaw", "40", "near"),
                              ("yaw", "-300", "at most"), ("turn", "180", "near")],
    }  # fmt: skip
    for name, lines in tables.items():
        (folder / name).write_text("".join(f"{','.join(line)}\n" for line in lines))


def explain(run, images):
    command = [sys.executable, "SAFE_Tool.py", "explain", run, "--angles", "turn"]
    for name in ("parameters.csv", "labels.csv"):
        command += ["--parameters", images / name]
    command += ["--unsafe-values", images / "unsafe_values.csv"]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, timeout=120)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Write a run the way that a job does, of images that nothing is known of yet."""
    folder = tmp_path_factory.mktemp("explained")
    images, run = folder / "images", folder / "plain"
    images.mkdir()
    labels, rng = labels_of(), np.random.default_rng(0)
    for number, cluster in enumerate(labels):
        level = 60 + 30 * FAMILIES.get(int(cluster), rng.integers(4))
        pixels = np.clip(level + rng.normal(0, 9, (24, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(images / f"eye {number:02d}.png")
    write_tables(images)
    paths = tuple(f"eye {number:02d}.png" for number in range(len(labels)))
    points = rng.normal(size=(len(labels), 4)).astype(np.float32)
    points[:, 0] += 5 * labels
    clusters = RootCauseClusters(
        paths=paths,
        digests=tuple(check_image(images, path).digest for path in paths),
        labels=labels,
        core=labels >= 0,
        silhouettes=np.full(len(labels), 0.5, np.float32),
        centre_distances=centre_distances(points, labels),
        places=map_places(points),
    )
    manifest = Manifest(
        job="cluster",
        command=[],
        folder=str(images),
        parameters={"seed": 0},
        result={"clusters": len(SIZES), "inspection_share": 30 / len(labels)},
    )
    with open_run(run, manifest, lambda *step: None) as job:
        write_clusters(run, clusters, {c: {"family": f} for c, f in FAMILIES.items()})
        draw_clusters(images, clusters, run, job.progress)
    return run


@pytest.fixture(scope="module")
def told(plain):
    """Explain the run by the command line, with all tables."""
    run = plain.with_name("told")
    shutil.copytree(plain, run)
    explain(run, plain.with_name("images"))
    return run


@pytest.fixture
def browsing(told, server, visit):
    page = visit(f"{server.url}?run={told}")
    expect(page.locator(".tile").first).to_be_visible()
    return page


def tile(page, cluster):
    return page.locator(f".tile[data-cluster='{cluster}']")


def choose(page, cluster):
    tile(page, cluster).click()
    expect(tile(page, cluster)).to_have_attribute("aria-selected", "true")


def colour_by(page, label):
    page.locator(".colouring select").select_option(label=label)


def pixels(page):
    """Return how many pixels of the canvas have each colour, opaque ones alone."""
    return page.locator("canvas").evaluate("""canvas => {
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const counts = {};
        for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] < 255) continue;
            const key = data.slice(i, i + 3).join();
            counts[key] = (counts[key] ?? 0) + 1;
        }
        return counts;
    }""")


def saved(page):
    expect(page.locator(".saved")).to_have_text("Saved")


# --- families -----------------------------------------------------------------------------------


def test_tiles_stand_family_by_family_and_noise_last(browsing):
    tiles = browsing.locator(".tile")
    assert [each.get_attribute("data-cluster") for each in tiles.all()] == SHOWN
    brackets = browsing.locator(".family")
    expect(brackets).to_have_count(2)  # a family of one cluster has none
    inside = [each.locator(".tile") for each in brackets.all()]
    assert [[each.get_attribute("data-cluster") for each in group.all()] for group in inside] == [
        ["1", "2"],
        ["3", "4"],
    ]
    expect(brackets.first.locator(".bracket")).to_contain_text("Family 0 · 22 images · ")
    expect(browsing.locator(".facts")).to_have_text(
        "6 root cause clusters in 4 families of 64 images; 7 images (11 %) are noise. "
        "Five images of each cluster are 47 %, of each family 31 % of all."
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


# --- what is said of a cluster ------------------------------------------------------------------


def test_what_is_said_of_a_cluster_stands_beside_it(browsing, told):
    explanation = read_explanation(told)
    assert explanation.clusters[4].unsafe_values == [0]
    for cluster, said in explanation.clusters.items():
        choose(browsing, cluster)
        hints = [hint.words for hint in said.hints]
        expect(browsing.locator(".hints > li")).to_have_text(hints)
        findings = [finding.words for finding in said.parameters]
        expect(browsing.locator("ul.parameters > li")).to_have_text(findings)
        expect(browsing.locator(".confusions > li")).to_have_text(
            [
                f"{each.label} taken for {each.prediction}: {each.images} images"
                for each in said.confusions
            ]
        )
        beside = ["Next to yaw near 40"] if said.unsafe_values else []
        expect(browsing.locator(".values > li")).to_have_text(beside)
    choose(browsing, 1)
    expect(browsing.locator(".parameters li b").first).to_have_text("yaw")
    expect(browsing.locator(".kin li").first).to_have_text("Family 0 · 2 clusters · 22 images")
    choose(browsing, -1)
    expect(browsing.locator(".said")).to_be_hidden()


def test_more_than_three_findings_open_at_a_click(told, tmp_path, server, visit):
    run = tmp_path / "many"
    shutil.copytree(told, run)
    explanation = read_explanation(run)
    said = explanation.clusters[1]
    said.parameters = [said.parameters[0]] * 5
    (run / "explanation.json").write_text(explanation.model_dump_json())
    page = visit(f"{server.url}?run={run}&cluster=1")
    shown = page.locator(".parameters li:visible")
    expect(shown).to_have_count(3)
    page.locator("details", has=page.locator("ul.parameters")).locator("summary").click()
    expect(shown).to_have_count(5)


def test_unsafe_values_and_problems_of_tables_are_listed(browsing, told):
    summary = browsing.locator(".unsafe summary")
    expect(summary).to_contain_text("1 of 3 unsafe values is covered by clusters")
    expect(summary).to_contain_text("1 has no failing image next to it")
    summary.click()
    expect(browsing.locator(".unsafe tr", has_text="yaw near 40")).to_contain_text("Cluster 4")
    listed = browsing.locator(".problems")
    problems = read_explanation(told).problems
    unused = left_out(problems)
    count = f"{unused} {'entry' if unused == 1 else 'entries'} of the parameter tables could not"
    expect(listed.locator("summary")).to_contain_text(count)
    row = listed.locator("tr", has_text="n/a")
    expect(row).to_contain_text("parameters.csv")
    expect(row).to_contain_text("yaw")
    expect(row).to_contain_text("expected a number, received")


# --- the engineer's verdict ---------------------------------------------------------------------


def test_a_verdict_is_saved_and_survives_a_reload(browsing, told):
    before = read_csv(told / "clusters.csv")
    choose(browsing, 2)
    expect(tile(browsing, 2).locator(".mark")).to_be_hidden()
    browsing.get_by_label("Verdict").select_option("plausible cause")
    saved(browsing)
    browsing.get_by_label("Severity").fill("S2")
    browsing.get_by_label("Likelihood").press_sequentially("<b>E3</b>")
    browsing.get_by_label("Note").focus()
    saved(browsing)
    after = read_csv(told / "clusters.csv")
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
    saved(browsing)
    expect(mark).to_be_hidden()
    assert read_csv(told / "clusters.csv")[2]["verdict"] == ""


def test_a_verdict_that_is_none_is_refused(browsing, told):
    before = (told / "clusters.csv").read_bytes()
    choose(browsing, 3)
    browsing.get_by_label("Verdict").evaluate("""select => {
        select.append(new Option("certain"));
        select.value = "certain";
        select.dispatchEvent(new Event("input"));
    }""")
    expect(browsing.locator(".saved")).to_contain_text("Cluster 3 is not saved: verdict: expected")
    assert (told / "clusters.csv").read_bytes() == before


# --- the colours of the map ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "source", "column"),
    [("yaw", "parameters", "yaw"), ("mean brightness", "properties", "brightness")],
)
def test_the_map_is_coloured_by_numbers(browsing, told, label, source, column):
    choose(browsing, 1)
    before = pixels(browsing)
    expect(browsing.locator(".key")).to_be_hidden()
    colour_by(browsing, label)
    values = {row["path"]: row[column] for row in read_csv(told / f"{source}.csv")}
    known = sorted(float(value) for value in values.values() if value)
    key = browsing.locator(".key")
    expect(key).to_contain_text(f"{known[0]:.4g}")
    expect(key).to_contain_text(f"{known[-1]:.4g}")
    unknown = len(values) - len(known)
    expect(key.get_by_text("unknown")).to_have_count(1 if unknown else 0)
    after = pixels(browsing)
    assert not {tuple(each) for each in before} & {tuple(each) for each in after}
    # The colours are of one scale: of the lowest value a dark violet, of the highest yellow.
    colours = {}
    for end in (known[0], known[-1]):
        path = next(path for path, value in values.items() if value and float(value) == end)
        cluster = next(
            row["cluster"] for row in read_csv(told / "images.csv") if row["path"] == path
        )
        choose(browsing, cluster)
        shades = [tuple(map(int, shade.split(","))) for shade in pixels(browsing)]
        colours[end] = sorted(shades, key=lambda shade: shade[1])
    assert (72, 36, 117) in colours[known[0]]
    assert (223, 227, 24) in colours[known[-1]]


def test_an_image_tells_its_value_of_the_colouring(browsing, told):
    choose(browsing, 0)
    expect(browsing.locator(".pager")).to_contain_text("of 16")
    first = browsing.locator(".thumb").first
    path = first.get_attribute("aria-label")
    first.hover()
    expect(browsing.locator(".detail .value")).to_have_count(0)
    for label, unit in (("yaw", ""), ("turn", "°"), (HOSTILE[1], "")):
        colour_by(browsing, label)
        row = next(row for row in read_csv(told / "parameters.csv") if row["path"] == path)
        value = list(row.values())[1 + ("yaw", "turn", HOSTILE[1]).index(label)]
        first.hover()
        shown = value if label == HOSTILE[1] else f"{float(value):.4g}{unit}"
        expect(browsing.locator(".detail .value")).to_have_text(f"{label}: {shown}")


def test_angles_and_categories_have_colours_of_their_own(browsing):
    colour_by(browsing, "turn")
    expect(browsing.locator(".key")).to_contain_text("0°")
    expect(browsing.locator(".key")).to_contain_text("360°")
    colour_by(browsing, "label")
    expect(browsing.locator(".key")).to_have_text(re.compile("^left ?64$"))
    colour_by(browsing, "Family")
    swatches = browsing.locator(".key > span")
    expect(swatches).to_have_count(5)
    expect(swatches.first).to_contain_text("Family 0")
    expect(swatches.last).to_contain_text("Noise")
    shades = []
    for cluster in (1, 2, 0):  # the first two are of one family
        choose(browsing, cluster)
        counts = pixels(browsing)
        shades.append(max(counts, key=counts.get))
    assert shades[0] == shades[1] != shades[2]


def test_many_categories_are_named_up_to_twelve(told, tmp_path, server, visit):
    run = tmp_path / "many"
    shutil.copytree(told, run)
    rows = read_csv(run / "parameters.csv")
    write_csv(
        run / "parameters.csv",
        list(rows[0]),
        [
            [*list(row.values())[:3], f"scene {number % 20}", *list(row.values())[4:]]
            for number, row in enumerate(rows)
        ],
    )
    page = visit(f"{server.url}?run={run}")
    colour_by(page, HOSTILE[1])
    expect(page.locator(".key > span")).to_have_count(13)
    expect(page.locator(".key > span").last).to_contain_text("8 others")


def test_values_that_cannot_be_read_are_said_and_the_colours_stay(told, tmp_path, server, visit):
    run = tmp_path / "damaged"
    shutil.copytree(told, run)
    text = (run / "properties.csv").read_text()
    (run / "properties.csv").write_text(text.replace("contrast", "contest"))
    page = visit(f"{server.url}?run={run}")
    before = pixels(page)
    colour_by(page, "contrast")
    expect(page.locator(".key")).to_contain_text("properties.csv is not as the tool writes it")
    expect(page.locator(".colouring select")).to_have_value("cluster")
    assert pixels(page) == before


def test_columns_of_an_explanation_that_was_replaced_are_not_shown(told, tmp_path, server, visit):
    run = tmp_path / "replaced"
    shutil.copytree(told, run)
    page = visit(f"{server.url}?run={run}")
    expect(page.locator(".tile").first).to_be_visible()
    explanation = read_explanation(run)
    explanation.parameters[0].name = "pitch"
    explanation.parameters[1].kind = "category"
    write_explanation(run, explanation)
    text = (run / "parameters.csv").read_text()
    (run / "parameters.csv").write_text(text.replace("yaw", "pitch", 1))
    for label, said in (("yaw", "Open it again"), ("turn", "holds something else by now")):
        colour_by(page, label)
        expect(page.locator(".key")).to_contain_text(said)
        expect(page.locator(".colouring select")).to_have_value("cluster")


def test_what_tables_say_is_text_wherever_it_is_shown(browsing):
    for label in (HOSTILE[1], "prediction"):
        colour_by(browsing, label)
        expect(browsing.locator(".key")).to_contain_text(HOSTILE[0])
    for cluster in SHOWN:
        choose(browsing, cluster)
    expect(browsing.locator(".confusions")).to_have_count(0)  # of noise nothing is said
    choose(browsing, 0)
    expect(browsing.locator(".confusions")).to_contain_text(HOSTILE[0])
    assert browsing.evaluate("window.hit") is None
    assert browsing.locator("#clusters img[onerror]").count() == 0


# --- the report ---------------------------------------------------------------------------------


def test_the_report_opens_beside_the_page_with_the_words_that_were_typed_last(browsing):
    choose(browsing, 5)
    browsing.get_by_label("Name").fill("<i>typed</i> last")
    with browsing.context.expect_page() as opened:
        browsing.get_by_role("link", name="Report").click()
    report = opened.value
    report.wait_for_load_state()
    assert report.url.endswith("/report.html")
    assert html.escape("<i>typed</i> last") in report.content()
    expect(report.get_by_text("<i>typed</i> last").first).to_be_visible()
    expect(browsing.get_by_label("Name")).to_have_value("<i>typed</i> last")


# --- runs of older versions, and what is given afterwards ---------------------------------------


@pytest.fixture
def older(plain, tmp_path):
    """Return a run as earlier versions wrote it, with a hint of two."""
    run = tmp_path / "older"
    shutil.copytree(plain, run)
    assert set(OLDER) < set(CLUSTER_COLUMNS)
    rows = read_csv(run / "clusters.csv")
    rows[0]["hint"] = "darker than the rest; blurrier than the rest"
    write_csv(run / "clusters.csv", OLDER, [[row[name] for name in OLDER] for row in rows])
    return run


def test_a_run_of_an_older_version_opens(older, server, visit):
    page = visit(f"{server.url}?run={older}")
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(7)
    assert [each.get_attribute("data-cluster") for each in tiles.all()] == [*"012345", "-1"]
    expect(page.locator(".hints li")).to_have_text(
        ["darker than the rest", "blurrier than the rest"]
    )
    expect(page.locator(".family")).to_have_count(0)
    expect(page.locator(".colouring")).to_be_hidden()
    expect(page.locator(".unsafe, .problems")).to_have_count(0)
    expect(page.locator(".facts")).to_contain_text("6 root cause clusters of 64 images; ")
    page.get_by_label("Verdict").select_option("unclear")
    saved(page)
    assert read_csv(older / "clusters.csv")[0]["verdict"] == "unclear"


def test_the_open_run_is_explained_by_tables_that_are_given_afterwards(older, server, visit):
    page = visit(f"{server.url}?run={older}&cluster=2")
    page.get_by_label("Name").fill("turned heads")
    saved(page)
    page.get_by_role("button", name="Parameters").click()
    page.get_by_role("button", name="Use labels.csv, parameters.csv and unsafe_values.csv").click()
    expect(page.get_by_label("Parameter tables")).to_have_value(
        re.compile(r"labels\.csv\n.*parameters\.csv$")
    )
    expect(page.get_by_label("Unsafe values")).to_have_value(re.compile(r"/unsafe_values\.csv$"))
    page.get_by_label("Angles").fill(" turn, ")
    page.get_by_role("button", name="Explain the open run").click()
    expect(page.get_by_label("Name")).to_be_disabled()  # its job could not let words be saved
    expect(page.locator(".saved")).to_contain_text("when the job has finished")
    expect(page.locator(".parameters li").first).to_contain_text("yaw", timeout=60_000)
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
    expect(page.get_by_label("Name")).to_be_enabled(timeout=60_000)
    assert read_explanation(older) == explanation  # by the tables that were given before


def job_of(server):
    """Return the process of the server's job, as soon as there is one."""
    tasks = Path(f"/proc/{server.process.pid}/task")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for children in tasks.glob("*/children"):
            if found := children.read_text().split():
                return int(found[0])
        time.sleep(0.01)
    pytest.fail("no job was started")


def test_a_tab_that_opens_a_run_while_another_explains_it_follows(older, server, visit):
    other = visit(server.url)
    page = visit(f"{server.url}?run={older}")
    expect(tile(page, 0)).to_be_visible()
    for each in (page, other):
        each.get_by_role("button", name="Parameters").click()
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
    for each in (page, other):
        expect(each.locator("#job")).to_contain_text("explain the run again", timeout=60_000)
        expect(each.get_by_label("Name")).to_be_enabled()
        expect(each.get_by_role("button", name="Explain the open run")).to_be_enabled()


def test_tables_beside_other_images_are_not_used(older, server, visit, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "parameters.csv").write_text("path,yaw\n000.png,1\n")
    page = visit(f"{server.url}?run={older}")
    expect(tile(page, 0)).to_be_visible()
    page.get_by_role("button", name="Parameters").click()
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


def test_a_table_that_cannot_be_used_is_said_and_the_run_stays_open(older, server, visit):
    page = visit(f"{server.url}?run={older}&cluster=3")
    expect(tile(page, 3)).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="Parameters").click()
    page.get_by_label("Parameter tables").fill(str(older / "nowhere.csv"))
    page.get_by_role("button", name="Explain the open run").click()
    expect(page.locator("#job")).to_contain_text("nowhere.csv", timeout=60_000)
    expect(page.get_by_label("Name")).to_be_enabled()
    expect(tile(page, 3)).to_have_attribute("aria-selected", "true")
    page.get_by_label("Name").fill("still here")
    saved(page)
    box = page.get_by_label("Open a run")
    box.fill(str(older.parent))
    box.press("Enter")
    page.get_by_role("button", name="Explain the open run").click()
    expect(page.locator("#job")).to_contain_text(f"{older.parent} is not a run folder")


def test_nothing_is_cut_off_at_any_width(browsing, shoot):
    colour_by(browsing, HOSTILE[1])
    choose(browsing, 4)
    shoot(browsing, "explained")
    browsing.get_by_role("button", name="Parameters").click()
    shoot(browsing, "given")
