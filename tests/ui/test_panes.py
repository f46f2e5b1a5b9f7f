"""The modules of the result panes in a browser: how they load, and what they leave alone."""

import re

import pytest
from playwright.sync_api import expect

from app.server import panes
from tests.ui.clicks import open_tab

EXPORT = re.compile(r"^export (?:async )?(?:const|function) (\w+)", re.MULTILINE)
TABS = {
    "clusters": "Clusters",
    "unsafe-set": "Unsafe set",
    "retraining": "Retraining",
    "heatmaps": "Heatmaps",
    "coverage": "Coverage",
    "confusion": "Confusion and bias",
}


@pytest.fixture(scope="module")
def empty(serve, tmp_path_factory):
    """Serve a page without runs, so that none opens by itself."""
    with serve(tmp_path_factory.mktemp("empty") / "runs") as running:
        yield running


def test_every_tab_is_filled_by_its_module_and_none_leaves_a_global(empty, visit):
    page = visit(empty.url)
    for elem_id, name in TABS.items():
        open_tab(page, name)
        expect(page.locator(f"#{elem_id} .empty")).to_be_visible()
    modules = panes.read_modules().files.values()
    names = sorted({name for text in modules for name in EXPORT.findall(text.decode())})
    assert len(names) > 50
    page.evaluate("document.body.append(document.createElement('iframe'))")
    code = """(names) => {
        const clean = document.querySelector("body > iframe").contentWindow;
        return names.filter((name) => Object.hasOwn(window, name) && !(name in clean));
    }"""
    assert page.evaluate(code, names) == []


def test_modules_come_from_the_browsers_cache_when_the_page_is_reloaded(empty, visit):
    page = visit(empty.url)
    expect(page.locator("#clusters .empty")).to_be_visible()
    code = """() => performance.getEntriesByType("resource")
        .filter(({ name }) => name.includes("/panes/"))
        .map(({ name, transferSize }) => [new URL(name).pathname.split("/")[2], transferSize])"""
    digest = panes.read_modules().digest
    first = page.evaluate(code)
    assert {part for part, _ in first} == {digest}
    assert all(size > 0 for _, size in first)
    page.goto("about:blank")
    page.goto(empty.url)
    expect(page.locator("#clusters .empty")).to_be_visible()
    assert page.evaluate(code)
    assert all(size == 0 for _, size in page.evaluate(code))


def test_a_pane_whose_module_does_not_load_says_what_to_do(empty, visit):
    page = visit(empty.url)
    page.route("**/panes/**", lambda route: route.fulfill(status=404, body="{}"))
    page.reload()
    expect(page.locator("#clusters")).to_contain_text("Failed to fetch dynamically imported module")
    expect(page.locator("#clusters")).to_contain_text("Reload the page.")
