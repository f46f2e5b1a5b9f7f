"""The colours of the map: numbers, angles and categories."""

import re
import shutil

import pytest
from playwright.sync_api import expect

from pipelines.clusters.explanation import read_explanation, write_explanation
from pipelines.runs.files import read_csv, write_csv
from tests.ui.explanation.explained import HOSTILE, TILE_ORDER, choose, colour_by, pixels


@pytest.mark.parametrize(
    ("label", "source", "column"),
    [("yaw", "parameters", "yaw"), ("mean brightness", "properties", "brightness")],
)
def test_the_map_is_coloured_by_numbers(browsing, explained_run, label, source, column):
    choose(browsing, 1)
    before = pixels(browsing)
    expect(browsing.locator(".key")).to_be_hidden()
    colour_by(browsing, label)
    values = {row["path"]: row[column] for row in read_csv(explained_run / f"{source}.csv")}
    numbers = sorted(float(value) for value in values.values() if value)
    key = browsing.locator(".key")
    expect(key).to_contain_text(f"{numbers[0]:.4g}")
    expect(key).to_contain_text(f"{numbers[-1]:.4g}")
    unknown = len(values) - len(numbers)
    expect(key.get_by_text("unknown")).to_have_count(1 if unknown else 0)
    after = pixels(browsing)
    assert not {tuple(colour) for colour in before} & {tuple(colour) for colour in after}
    # The colours are of one scale: of the lowest value a dark violet, of the highest yellow.
    colours = {}
    for end in (numbers[0], numbers[-1]):
        path = next(path for path, value in values.items() if value and float(value) == end)
        cluster = next(
            row["cluster"] for row in read_csv(explained_run / "images.csv") if row["path"] == path
        )
        choose(browsing, cluster)
        shades = [tuple(map(int, shade.split(","))) for shade in pixels(browsing)]
        colours[end] = sorted(shades, key=lambda shade: shade[1])
    assert (72, 36, 117) in colours[numbers[0]]
    assert (223, 227, 24) in colours[numbers[-1]]


def test_the_details_of_an_image_have_its_value_of_the_colouring(browsing, explained_run):
    choose(browsing, 0)
    expect(browsing.locator(".pager")).to_contain_text("of 16")
    first = browsing.locator(".thumb").first
    path = first.get_attribute("aria-label")
    first.hover()
    expect(browsing.locator(".detail .value")).to_have_count(0)
    for label, unit in (("yaw", ""), ("turn", "°"), (HOSTILE[1], "")):
        colour_by(browsing, label)
        row = next(row for row in read_csv(explained_run / "parameters.csv") if row["path"] == path)
        value = list(row.values())[1 + ("yaw", "turn", HOSTILE[1]).index(label)]
        first.hover()
        value_in_words = value if label == HOSTILE[1] else f"{float(value):.4g}{unit}"
        expect(browsing.locator(".detail .value")).to_have_text(f"{label}: {value_in_words}")


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


def test_many_categories_are_named_up_to_twelve(explained_run, tmp_path, server, visit):
    run = tmp_path / "many"
    shutil.copytree(explained_run, run)
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


def test_values_that_cannot_be_read_give_an_error_and_the_colours_stay(
    explained_run, tmp_path, server, visit
):
    run = tmp_path / "damaged"
    shutil.copytree(explained_run, run)
    text = (run / "properties.csv").read_text()
    (run / "properties.csv").write_text(text.replace("contrast", "contest"))
    page = visit(f"{server.url}?run={run}")
    before = pixels(page)
    colour_by(page, "contrast")
    expect(page.locator(".key")).to_contain_text("properties.csv is not as the tool writes it")
    expect(page.locator(".colouring select")).to_have_value("cluster")
    assert pixels(page) == before


def test_columns_of_an_explanation_that_was_replaced_are_not_shown(
    explained_run, tmp_path, server, visit
):
    run = tmp_path / "replaced"
    shutil.copytree(explained_run, run)
    page = visit(f"{server.url}?run={run}")
    expect(page.locator(".tile").first).to_be_visible()
    explanation = read_explanation(run)
    explanation.parameters[0].name = "pitch"
    explanation.parameters[1].kind = "category"
    write_explanation(run, explanation)
    text = (run / "parameters.csv").read_text()
    (run / "parameters.csv").write_text(text.replace("yaw", "pitch", 1))
    for label, message in (("yaw", "Open it again"), ("turn", "has changed since the run was")):
        colour_by(page, label)
        expect(page.locator(".key")).to_contain_text(message)
        expect(page.locator(".colouring select")).to_have_value("cluster")


def test_what_tables_say_is_text_wherever_it_is_shown(browsing):
    for label in (HOSTILE[1], "prediction"):
        colour_by(browsing, label)
        expect(browsing.locator(".key")).to_contain_text(HOSTILE[0])
    for cluster in TILE_ORDER:
        choose(browsing, cluster)
    expect(browsing.locator(".confusions")).to_have_count(0)  # noise has no explanation
    choose(browsing, 0)
    expect(browsing.locator(".confusions")).to_contain_text(HOSTILE[0])
    assert browsing.evaluate("window.hit") is None
    assert browsing.locator("#clusters img[onerror]").count() == 0
