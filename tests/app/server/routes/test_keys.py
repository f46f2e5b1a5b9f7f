"""Who is served anything of a run: whoever has its key, and has logged in."""

import pytest
from starlette.testclient import TestClient

from app.server.access import Access, middleware
from app.server.routes import ServedRuns
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import read_manifest
from tests.app.server.small_run import content, words

# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail",
    [
        "data",
        "values/properties/0",
        "report.html",
        "gifs.zip",
        "download/labels.txt",
        "gifs/noise.gif",
    ],
)
def test_an_unknown_key_is_answered_with_what_to_do(explained_run, run, client, address, tail):
    assert client.get(f"{address}/{tail}").status_code == 200
    for key in ("x", address.removeprefix("/run/")[:-1], run.name):
        answer = client.get(f"/run/{key}/{tail}")
        assert answer.status_code == 404
        assert "Reload the page" in answer.text


def test_a_folder_has_one_key_and_each_its_own(served, tmp_path):
    keys = [served.key(tmp_path / name) for name in ("a", "b", "a")]
    assert keys[0] == keys[2] != keys[1]
    assert [served.folder(key) for key in keys] == [tmp_path / name for name in "aba"]
    assert ServedRuns(Access()).key(tmp_path / "a") != keys[0]
    assert min(map(len, keys)) >= 20
    with pytest.raises(InputError, match="Reload"):
        served.folder("")


# --- the login ------------------------------------------------------------------------------------


def test_who_has_not_logged_in_is_served_nothing(explained_run, run, served, address, monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr
    from gradio.routes import App

    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.HTML()
    blocks.auth = [("eva", "sesame")]
    blocks.config = blocks.get_config_file()
    page = App.create_app(
        blocks, app_kwargs={"routes": served.routes(), "middleware": middleware(Access())}
    )
    client = TestClient(page, base_url="http://localhost:7860")
    tails = ["data", "values/properties/0", "report.html", "gifs.zip", "download/labels.txt"]
    request = {"started": read_manifest(run).started_at, "cluster": 0, "name": "x"}

    def statuses():
        codes = [client.get(f"{address}/{tail}").status_code for tail in tails]
        return [*codes, client.post(f"{address}/words", json=request).status_code]

    assert statuses() == [401] * 6
    assert words(run)[0] == ("", "")
    client.post("/login", data={"username": "eva", "password": "open"})
    assert statuses() == [401] * 6
    client.cookies.set(f"access-token-{page.cookie_id}", "guessed")
    assert statuses() == [401] * 6
    client.cookies.clear()
    assert client.post("/login", data={"username": "eva", "password": "sesame"}).is_success
    assert statuses() == [200] * 5 + [204]
    assert words(run)[0] == ("x", "")


def test_nothing_is_written_into_the_run(explained_run, run, client, address):
    before = content(run)
    tails = ("data", "values/parameters/0", "gifs.zip", "download/labels.txt", "gifs/noise.gif")
    for tail in tails:
        assert client.get(f"{address}/{tail}").status_code == 200
        assert client.post(f"{address}/{tail}").status_code == 405
    assert content(run) == before
