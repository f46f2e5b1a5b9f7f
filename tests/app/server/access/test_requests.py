"""The requests that the page answers: its own, under this machine's names."""

import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.server.access import HEADERS, LOOPBACK, POLICY, Access, known_names, middleware


@pytest.fixture
def make_client():
    """Return a function that puts the middleware before a small app; `posts` lists its POSTs."""

    def serve(host: str = LOOPBACK, base_url: str = "http://localhost:7860") -> TestClient:
        posts = []

        def answer(request):
            if request.method == "POST":
                posts.append(request.url.path)
            return PlainTextResponse("reached", headers={"Referrer-Policy": "no-referrer"})

        def fail(request):
            raise RuntimeError("a fault")

        routes = [
            Route("/run/fault", fail),
            Route("/run/elsewhere", lambda request: RedirectResponse("/")),
            Route("/run/stream", lambda request: StreamingResponse(iter([b"a", b"b"]))),
            Route("/run/missing", lambda request: PlainTextResponse("no", status_code=404)),
            Route("/{any:path}", answer, methods=["GET", "POST"]),
        ]
        client = TestClient(
            Starlette(routes=routes, middleware=middleware(Access(host))),
            base_url=base_url,
            follow_redirects=False,
            raise_server_exceptions=False,
        )
        client.posts = posts
        return client

    return serve


def test_this_machine_is_known_only_by_its_own_names():
    assert known_names(LOOPBACK) == ["127.0.0.1", "localhost"]
    assert known_names("eyes.example") == ["127.0.0.1", "eyes.example", "localhost"]
    assert known_names("192.0.2.7") == ["127.0.0.1", "192.0.2.7", "localhost"]


def test_a_machine_that_listens_everywhere_is_known_by_all_its_names():
    names = known_names("0.0.0.0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as socket_out:
        try:
            socket_out.connect(("192.0.2.1", 9))  # sends nothing, but chooses an address
            own = socket_out.getsockname()[0]
        except OSError:  # a machine without a network
            own = "127.0.0.1"
    assert {"127.0.0.1", "localhost", socket.gethostname(), own} <= set(names)
    assert "*" not in names


@pytest.mark.parametrize("host", ["0.0.0.0", "eyes.example"])
def test_no_name_is_looked_up_on_another_machine(host, monkeypatch):
    def look_up(*arguments):
        raise AssertionError("a name was looked up")

    for name in ("getaddrinfo", "getfqdn", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        monkeypatch.setattr(socket, name, look_up)
    assert known_names(host)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:7860", "localhost:1", "LOCALHOST:80", "127.0.0.1:7861"]
)
def test_this_machine_is_answered_at_any_port(make_client, host):
    assert make_client().get("/", headers={"Host": host}).text == "reached"


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
def test_a_foreign_name_is_refused(make_client, host):
    client = make_client()
    assert client.post("/", headers={"Host": host}).status_code == 400
    assert client.posts == []


def test_the_name_of_the_host_option_is_answered(make_client):
    client = make_client("eyes.example", "http://eyes.example:7860")
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
def test_a_foreign_page_is_refused_and_does_nothing(make_client, method, origin):
    client = make_client()
    answer = client.request(method, "/", headers={"Origin": origin})
    assert answer.status_code == 403
    assert "reached" not in answer.text
    assert client.posts == []


def test_the_page_itself_is_answered(make_client):
    client = make_client()
    assert client.post("/", headers={"Origin": "http://localhost:7860"}).text == "reached"
    assert client.post("/").text == "reached"
    assert client.posts == ["/", "/"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "something else"])
def test_a_request_of_another_site_is_refused_though_it_names_no_origin(make_client, method, site):
    client = make_client()
    for path in ("/", "/config", "/run/key/gifs/noise.gif"):
        answer = client.request(method, path, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403
        assert "reached" not in answer.text
    assert client.posts == []


def test_a_link_on_another_site_may_lead_to_the_page_and_to_nothing_else(make_client):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert make_client().get("/", headers=link).text == "reached"
    assert make_client().get("/?run=/runs/a", headers=link).text == "reached"
    for path in ("/config", "/run/key/gifs/noise.gif", "/logout"):
        assert make_client().get(path, headers=link).status_code == 403
    assert make_client().get("/", headers=link | {"Origin": "null"}).status_code == 403


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_an_address_that_is_typed_or_requested_by_the_page_is_answered(make_client, site):
    for path in ("/", "/run/key/gifs/noise.gif"):
        assert make_client().get(path, headers={"Sec-Fetch-Site": site}).text == "reached"


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
def test_what_the_page_needs_is_answered(make_client, path):
    assert make_client().get(path).text == "reached"


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
def test_other_addresses_of_gradio_are_not_answered(make_client, path):
    client = make_client()
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
        ("/run/fault", 500),
        ("/missing", 404),
    ],
)
def test_every_answer_has_the_security_headers(make_client, path, status):
    answer = make_client().get(path)
    assert answer.status_code == status
    own = {"Referrer-Policy": "no-referrer"} if path == "/" else {}
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS | own


@pytest.mark.parametrize(("header", "status"), [("Origin", 403), ("Host", 400)])
def test_a_refusal_has_the_security_headers_too(make_client, header, status):
    answer = make_client().get("/", headers={header: "null"})
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_the_policy_names_no_other_machine_and_lets_no_page_frame_this_one():
    assert "default-src 'self'" in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert not {"*", "http:", "https:", "//"} & set(POLICY.split())
    assert "://" not in POLICY
