"""Who may reach the page, and which folders those may name."""

import os
import socket
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.server.access import (
    HEADERS,
    LOOPBACK,
    POLICY,
    Access,
    check_access,
    clean_environment,
    known_names,
    middleware,
)
from pipelines.runs.errors import InputError


@pytest.fixture
def login(tmp_path):
    """Write a password file as another system would, with more than the password in it."""
    (tmp_path / "password").write_bytes(b" open: s\xc3\xa9same \r\nnot the password\r\n")
    return f"eva:{tmp_path / 'password'}"


# --- what is given on the command line ----------------------------------------------------------


def test_without_options_this_machine_alone_may_reach_all_without_a_login():
    access = check_access(None, None, [])
    assert access == Access("127.0.0.1", "", "", ())


@pytest.mark.parametrize("given", ["nothing", "a login", "a root"])
def test_another_host_needs_a_login_and_a_root(tmp_path, login, given):
    auth = login if given == "a login" else None
    roots = [tmp_path] if given == "a root" else []
    with pytest.raises(InputError, match=r"--host 0\.0\.0\.0 .* --auth .* --root"):
        check_access("0.0.0.0", auth, roots)


@pytest.mark.parametrize("host", ["::", "::1", "[::1]", "eyes.example:7860"])
def test_a_host_that_is_no_name_and_no_address_of_version_4_is_refused(tmp_path, login, host):
    with pytest.raises(InputError, match="expected a name or an IPv4 address"):
        check_access(host, login, [tmp_path])


def test_another_host_with_a_login_and_a_root(tmp_path, login):
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    access = check_access("0.0.0.0", login, [tmp_path / "link", tmp_path / "images" / ".."])
    assert (access.host, access.user) == ("0.0.0.0", "eva")
    assert access.roots == (tmp_path / "images", tmp_path)


def test_the_password_is_the_first_line_without_its_line_end(login):
    assert check_access(None, login, []).password == " open: sésame "


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nmore", "\r\n\r\n"])
def test_any_line_end_or_none_may_follow_the_password(tmp_path, ending):
    (tmp_path / "password").write_bytes(f"sesame{ending}".encode())
    assert check_access(None, f"eva:{tmp_path / 'password'}", []).password == "sesame"


def test_the_name_of_the_password_file_may_hold_colons(tmp_path):
    (tmp_path / "a:b").write_text("sesame")
    access = check_access(None, f"eva:{tmp_path / 'a:b'}", [])
    assert (access.user, access.password) == ("eva", "sesame")


@pytest.mark.parametrize("auth", ["eva", "eva:", ":password", ":"])
def test_a_malformed_login_is_refused(auth):
    with pytest.raises(InputError, match=f"expected USER:PASSWORD-FILE, received '{auth}'"):
        check_access(None, auth, [])


def test_a_password_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone cannot be read: .*No such file"):
        check_access(None, f"eva:{tmp_path / 'gone'}", [])


def test_a_password_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "password").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="password cannot be read"):
        check_access(None, f"eva:{tmp_path / 'password'}", [])


@pytest.mark.parametrize("content", ["", "\n", "\r\n", "\nsesame\n"])
def test_an_empty_password_is_refused(tmp_path, content):
    (tmp_path / "password").write_bytes(content.encode())
    with pytest.raises(InputError, match=r"first line of .*password is empty"):
        check_access(None, f"eva:{tmp_path / 'password'}", [])


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_root_that_is_no_folder_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"--root: .*{name} is not a folder"):
        check_access(None, None, [tmp_path, tmp_path / name])


def test_the_environment_decides_nothing_of_gradio_but_where_its_temporary_files_are(monkeypatch):
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        monkeypatch.delenv(name)
    given = {"SHARE": "True", "ALLOWED_PATHS": "/", "ANALYTICS_ENABLED": "True", "TEMP_DIR": "/t"}
    for name, value in given.items():
        monkeypatch.setenv(f"GRADIO_{name}", value)
    monkeypatch.setenv("OTHER", "stays")
    clean_environment()
    left = {name: value for name, value in os.environ.items() if name.startswith("GRADIO_")}
    assert left == {"GRADIO_TEMP_DIR": "/t", "GRADIO_ANALYTICS_ENABLED": "False"}
    assert os.environ["OTHER"] == "stays"


# --- the paths of users -------------------------------------------------------------------------


@pytest.fixture
def access(tmp_path):
    for name in ("root", "other", "root-2", "secret"):
        (tmp_path / name).mkdir()
    return Access(roots=(tmp_path / "root", tmp_path / "other"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("{}/root", "root"),
        ("{}/root/sub/a.png", "root/sub/a.png"),
        (" {}/root/sub\n", "root/sub"),
        ("{}/root/sub/../..//root/b", "root/b"),
        ("{}/other/x", "other/x"),
    ],
)
def test_a_path_below_a_root_is_resolved(tmp_path, access, given, meant):
    assert access.resolve(given.format(tmp_path)) == tmp_path / meant


@pytest.mark.parametrize(
    "given",
    ["secret", "", "root-2", "root/../secret", "root/missing/../../secret", "root/.."],
)
def test_a_path_outside_of_the_roots_is_refused_with_the_roots(tmp_path, access, given):
    with pytest.raises(InputError, match=f"below {tmp_path / 'root'}, {tmp_path / 'other'}"):
        access.resolve(f"{tmp_path}/{given}")


def test_a_link_that_leads_out_of_the_root_is_refused(tmp_path, access):
    (tmp_path / "root" / "out").symlink_to(tmp_path / "secret")
    for given in ("root/out", "root/out/file", "root/out/../root-2"):
        with pytest.raises(InputError, match="lies outside"):
            access.resolve(f"{tmp_path}/{given}")


def test_a_link_from_one_root_to_another_is_followed(tmp_path, access):
    (tmp_path / "root" / "link").symlink_to(tmp_path / "other")
    assert access.resolve(f"{tmp_path}/root/link/a") == tmp_path / "other" / "a"


def test_the_home_folder_is_meant_by_a_tilde_and_held_against_the_roots(
    tmp_path, access, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path / "root" / "home"))
    assert access.resolve("~/images") == tmp_path / "root" / "home" / "images"
    monkeypatch.setenv("HOME", str(tmp_path / "secret"))
    with pytest.raises(InputError, match="secret lies outside"):
        access.resolve("~")


def test_a_relative_path_begins_where_the_server_was_started(tmp_path, access, monkeypatch):
    monkeypatch.chdir(tmp_path / "root")
    assert access.resolve("images") == tmp_path / "root" / "images"
    with pytest.raises(InputError, match="lies outside"):
        access.resolve("../secret")


@pytest.mark.parametrize("limit", [True, False])
@pytest.mark.parametrize(
    "text", ["{root}/a\0b", "\0", "~nobody-of-this-name/a", "{root}/\ud800", "{root}/\udcff"]
)
def test_what_is_no_path_is_refused(tmp_path, access, text, limit):
    given = text.format(root=tmp_path / "root")
    with pytest.raises(InputError, match="is not a path"):
        (access if limit else Access()).resolve(given)


def test_without_roots_every_path_may_be_named(tmp_path):
    assert Access().resolve(f"{tmp_path}/a/../b") == tmp_path / "b"
    assert Access().resolve("/") == Path("/")


# --- requests -----------------------------------------------------------------------------------


@pytest.fixture
def served():
    """Return a function that puts the middleware before a small app; `posts` counts its posts."""

    def serve(host: str = LOOPBACK, base_url: str = "http://localhost:7860") -> TestClient:
        posts = []

        def answer(request):
            if request.method == "POST":
                posts.append(request.url.path)
            return PlainTextResponse("reached", headers={"Referrer-Policy": "no-referrer"})

        routes = [
            Route("/run/elsewhere", lambda request: RedirectResponse("/")),
            Route("/run/stream", lambda request: StreamingResponse(iter([b"a", b"b"]))),
            Route("/run/missing", lambda request: PlainTextResponse("no", status_code=404)),
            Route("/{any:path}", answer, methods=["GET", "POST"]),
        ]
        client = TestClient(
            Starlette(routes=routes, middleware=middleware(Access(host))),
            base_url=base_url,
            follow_redirects=False,
        )
        client.posts = posts
        return client

    return serve


def test_this_machine_is_known_by_its_own_names_alone():
    assert known_names(LOOPBACK) == ["127.0.0.1", "localhost"]
    assert known_names("eyes.example") == ["127.0.0.1", "eyes.example", "localhost"]
    assert known_names("192.0.2.7") == ["127.0.0.1", "192.0.2.7", "localhost"]


def test_a_machine_that_listens_everywhere_is_known_by_all_its_names():
    names = known_names("0.0.0.0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sent:
        try:
            sent.connect(("192.0.2.1", 9))  # sends nothing; tells by which address it would
            own = sent.getsockname()[0]
        except OSError:  # a machine without a network
            own = "127.0.0.1"
    assert {"127.0.0.1", "localhost", socket.gethostname(), own} <= set(names)
    assert "*" not in names


@pytest.mark.parametrize("host", ["0.0.0.0", "eyes.example"])
def test_no_other_machine_is_asked_for_a_name(host, monkeypatch):
    def ask(*arguments):
        raise AssertionError("a name was looked up")

    for name in ("getaddrinfo", "getfqdn", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        monkeypatch.setattr(socket, name, ask)
    assert known_names(host)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:7860", "localhost:1", "LOCALHOST:80", "127.0.0.1:7861"]
)
def test_this_machine_is_answered_at_any_port(served, host):
    assert served().get("/", headers={"Host": host}).text == "reached"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7860",
        "localhost.evil.example",
        "evil.localhost",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "localhost:7860:1",
        "localhost@evil.example",
        "",
    ],
)
def test_a_foreign_name_is_refused(served, host):
    client = served()
    assert client.post("/", headers={"Host": host}).status_code == 400
    assert client.posts == []


def test_the_name_that_was_given_is_answered(served):
    client = served("eyes.example", "http://eyes.example:7860")
    assert client.get("/").status_code == 200
    assert client.get("/", headers={"Host": "other.example"}).status_code == 400


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://evil.example:7860",
        "http://localhost:7861",
        "http://localhost",
        "http://127.0.0.1:7860",
        "http://localhost:7860@evil.example",
        "http://localhost:7860.evil.example",
        "localhost:7860",
        "http://[",
        "null",
        "",
    ],
)
def test_a_foreign_page_is_refused_and_does_nothing(served, method, origin):
    client = served()
    answer = client.request(method, "/", headers={"Origin": origin})
    assert answer.status_code == 403
    assert "reached" not in answer.text
    assert client.posts == []


def test_the_page_itself_is_answered(served):
    client = served()
    assert client.post("/", headers={"Origin": "http://localhost:7860"}).text == "reached"
    assert client.post("/").text == "reached"
    assert client.posts == ["/", "/"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "something else"])
def test_a_request_of_another_site_is_refused_though_it_names_no_origin(served, method, site):
    client = served()
    for path in ("/", "/config", "/run/key/gifs/noise.gif"):
        answer = client.request(method, path, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403
        assert "reached" not in answer.text
    assert client.posts == []


def test_a_link_on_another_site_may_lead_to_the_page_and_to_nothing_else(served):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served().get("/", headers=link).text == "reached"
    assert served().get("/?run=/runs/a", headers=link).text == "reached"
    for path in ("/config", "/run/key/gifs/noise.gif", "/logout"):
        assert served().get(path, headers=link).status_code == 403
    assert served().get("/", headers=link | {"Origin": "null"}).status_code == 403


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_what_the_user_types_or_the_page_asks_for_is_answered(served, site):
    for path in ("/", "/run/key/gifs/noise.gif"):
        assert served().get(path, headers={"Sec-Fetch-Site": site}).text == "reached"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/config",
        "/login",
        "/theme.css",
        "/assets/index.js",
        "/panes/digest/heatmaps/pane.js",
        "/static/fonts/a.woff2",
        "/run/key/data",
        "/gradio_api/queue/join",
        "/gradio_api/heartbeat/x",
        "/gradio_api/startup-events",
    ],
)
def test_what_the_page_needs_is_answered(served, path):
    assert served().get(path).text == "reached"


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/upload",
        "/gradio_api/proxy=https://evil.example/",
        "/gradio_api/info",
        "/gradio_api/call/x",
        "/gradio_api/run/x",
        "/gradio_api/queue",
        "/docs",
        "/openapi.json",
        "/config/x",
        "/run",
        "/x/run/key",
        "//config",
        "/gradio_api/startup-events%0A",
    ],
)
def test_whatever_else_gradio_would_answer_is_not_there(served, path):
    client = served()
    for method in ("GET", "POST"):
        answer = client.request(method, f"http://localhost:7860{path}")
        assert answer.status_code == 404
        assert "reached" not in answer.text
    assert client.posts == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/run/stream", 200),
        ("/run/elsewhere", 307),
        ("/run/missing", 404),
        ("/missing", 404),
    ],
)
def test_every_answer_tells_the_browser_to_keep_to_this_page(served, path, status):
    answer = served().get(path)
    assert answer.status_code == status
    own = {"Referrer-Policy": "no-referrer"} if path == "/" else {}
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS | own


def test_a_refusal_tells_the_browser_so_too(served):
    answer = served().get("/", headers={"Origin": "null"})
    assert answer.status_code == 403
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_the_policy_names_no_other_machine_and_lets_no_page_frame_this_one():
    assert "default-src 'self'" in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert not {"*", "http:", "https:", "//"} & set(POLICY.split())
    assert "://" not in POLICY
