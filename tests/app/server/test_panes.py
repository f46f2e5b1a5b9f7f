"""What the page serves of its own scripts, and that it serves no other file."""

import re
import shutil

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.server import panes
from app.server.access import Access, middleware

SPECIFIER = re.compile(r'^(?:import|export)\b[^;]*?from "([^"]+)";', re.MULTILINE)


@pytest.fixture
def client():
    app = Starlette(routes=panes.routes(), middleware=middleware(Access()))
    return TestClient(app, base_url="http://localhost:7860")


@pytest.fixture
def digest():
    return panes.read_modules().digest


def test_every_module_is_served_as_it_is_and_may_be_kept(client, digest):
    files = [path for path in panes.FOLDER.rglob("*") if path.is_file()]
    assert files
    for path in files:
        answer = client.get(f"/panes/{digest}/{path.relative_to(panes.FOLDER).as_posix()}")
        assert answer.status_code == 200
        assert answer.content == path.read_bytes()
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in answer.headers["cache-control"]


def test_what_modules_import_is_served_below_the_same_digest():
    files = panes.read_modules().files
    imports = 0
    for name, content in files.items():
        for specifier in SPECIFIER.findall(content.decode()):
            assert specifier.startswith("."), f"{name} imports {specifier} from elsewhere"
            target = (panes.FOLDER / name).parent / specifier
            assert target.resolve().relative_to(panes.FOLDER).as_posix() in files, (name, specifier)
            imports += 1
    assert imports


@pytest.mark.parametrize(
    "path",
    [
        "{digest}/",
        "{digest}/missing.js",
        "{digest}/lib",
        "{digest}/lib/",
        "{digest}/../style.css",
        "{digest}/%2e%2e/style.css",
        "{digest}/..%2fstyle.css",
        "{digest}/lib/..%2f..%2fstyle.css",
        "{digest}/lib/%2e%2e/lib/elements.js",
        "{digest}//lib/elements.js",
        "{digest}/lib/elements.js%00",
        "{digest}/%2fetc/passwd",
        "{digest}/lib%5celements.js",
        "000000000000000000000000/lib/elements.js",
        "lib/elements.js",
    ],
)
def test_no_other_file_is_served(client, digest, path):
    answer = client.get(f"http://localhost:7860/panes/{path.format(digest=digest)}")
    assert answer.status_code == 404
    assert "cache-control" not in answer.headers


def test_only_reading_is_answered(client, digest):
    for method in ("POST", "PUT", "DELETE"):
        answer = client.request(method, f"/panes/{digest}/lib/elements.js")
        assert answer.status_code == 405


def test_a_release_has_an_address_of_its_own(tmp_path):
    digests = {panes.read_modules().digest}
    for number, change in enumerate(("content", "name", "more", "less")):
        folder = tmp_path / str(number)
        shutil.copytree(panes.FOLDER, folder)
        file = folder / "lib" / "elements.js"
        if change == "content":
            file.write_bytes(file.read_bytes() + b"\n")
        elif change == "name":
            file.rename(folder / "lib" / "element.js")
        elif change == "more":
            (folder / "lib" / "empty.js").touch()
        else:
            file.unlink()
        digests.add(panes.read_modules(folder).digest)
    assert len(digests) == 5
    shutil.copytree(panes.FOLDER, tmp_path / "same")
    assert panes.read_modules(tmp_path / "same").digest in digests


def test_a_pane_loads_a_module_that_is_there(client, digest):
    script = panes.load_script("heatmaps/pane.js")
    (path,) = re.findall(r'new URL\("(panes/[^"]+)", document.baseURI\)', script)
    assert "export function open({" in client.get(f"/{path}").text
    with pytest.raises(KeyError):
        panes.load_script("missing.js")


def test_who_has_not_logged_in_is_served_no_module(monkeypatch, digest):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr
    from gradio.routes import App

    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.HTML()
    blocks.auth = [("eva", "sesame")]
    blocks.config = blocks.get_config_file()
    wall = {"routes": panes.routes(), "middleware": middleware(Access())}
    client = TestClient(App.create_app(blocks, app_kwargs=wall), base_url="http://localhost:7860")
    address = f"/panes/{digest}/lib/elements.js"
    refusal = client.get(address)
    assert refusal.status_code == 401
    assert refusal.json() == {"detail": "Log in, and reload the page."}
    assert client.post("/login", data={"username": "eva", "password": "sesame"}).is_success
    assert client.get(address).status_code == 200
