"""Who may reach the page, and what of it."""

from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from playwright.sync_api import expect

from tests.ui.clicks import give, new_page, unfold


def status_of(url, body=None, **headers):
    try:
        with urlopen(Request(url, body, headers)) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def test_a_foreign_host_or_origin_is_refused(server):
    assert status_of(server.url)[0] == 200
    for path in ("", "config", "gradio_api/info", "run/x/data"):
        assert status_of(server.url + path, Host="evil.example")[0] == 400
    assert status_of(server.url, Origin="http://evil.example")[0] == 403
    assert status_of(f"{server.url}gradio_api/upload", data=b"x")[0] == 404


def test_of_an_image_folder_nothing_is_served(hostile_folder, server, visit):
    images, run = hostile_folder
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


def test_nothing_outside_the_roots_can_be_reached(serve, failures, visit, tmp_path):
    inside = tmp_path / "inside"
    (inside / "images").mkdir(parents=True)
    (inside / "way out").symlink_to(failures)
    with serve(tmp_path / "runs", "--root", inside) as server:
        page = visit(server.url)
        refusal = "lies outside the folders that this page may use"
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
        unfold(page, "Options")
        page.get_by_label("Run folder").fill(str(tmp_path / "elsewhere"))
        give(page, inside / "images")
        page.get_by_role("button", name="Find root cause clusters").click()
        expect(page.locator("#job")).to_contain_text(str(tmp_path / "elsewhere"))
        expect(page.locator("#job")).to_contain_text(refusal)
        assert not (tmp_path / "elsewhere").exists()
        page.get_by_label("Run folder").fill("")
        unfold(page, "Parameters")
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
        page = new_page(chromium)
        page.goto(url)
        page.get_by_label("username").fill("ali")
        page.get_by_label("password").fill("open sesame")
        page.get_by_role("button", name="Login").click()
        expect(page.locator("#find")).to_be_visible()
        page.context.close()
