"""What browsers send: as much as the page needs is read, and not one part more."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.server.access import HEADERS, Access, middleware
from app.server.bodies import LARGEST, LARGEST_LOGIN

PART = b"x" * 2**20


async def take(request):
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
def ask():
    """Return a function that sends a body in parts: status, headers, text, how many were read."""

    def send_chunks(chunks, headers=(), path="/run/key/words", login=None):
        app = Starlette(
            routes=[Route("/{any:path}", take, methods=["POST"])],
            middleware=middleware(Access()),
        )
        if login is not None:
            app.auth, app.tokens, app.cookie_id = {"eva": "sesame"}, {"token": "eva"}, "id"
            headers = [*headers, ("cookie", f"access-token-id={login}")]
        remaining, messages = list(chunks), []

        async def receive():
            body = remaining.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(remaining)}

        async def send(message):
            messages.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "client": ("192.0.2.1", 9),
            "headers": [
                (name.encode(), value.encode())
                for name, value in [("host", "localhost:7860"), *headers]
            ],
        }
        asyncio.run(app(scope, receive, send))
        answer_headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        text = b"".join(message.get("body", b"") for message in messages).decode()
        return messages[0]["status"], answer_headers, text, len(chunks) - len(remaining)

    return send_chunks


CHUNKED_HEADERS = [("transfer-encoding", "chunked")]


def length(count):
    return [("content-length", str(count))]


def test_what_the_page_sends_arrives_whole(ask):
    assert ask([b"ab", b"", b"cd"], length(4))[:3:2] == (200, "4")
    assert ask([b"ab", b"cd"], CHUNKED_HEADERS)[:3:2] == (200, "4")
    assert ask([PART] * (LARGEST // len(PART)), CHUNKED_HEADERS)[:3:2] == (200, str(LARGEST))


@pytest.mark.parametrize("count", [LARGEST + 1, 300 * 2**20, 10**30])
def test_of_a_body_that_announces_too_much_nothing_is_read(ask, count):
    status, headers, text, read = ask([PART] * 3, length(count))
    assert (status, read) == (413, 0)
    assert f"at most {LARGEST:,} bytes" in text
    assert headers["connection"] == "close"


@pytest.mark.parametrize("headers", [CHUNKED_HEADERS, [*CHUNKED_HEADERS, *length(5)]])
def test_a_body_that_turns_out_too_long_is_read_no_further(ask, headers):
    status, _, _, read = ask([PART] * 300, headers)
    assert (status, read) == (413, LARGEST // len(PART) + 1)


def test_a_login_may_send_less(ask):
    assert ask([b"x"], length(LARGEST_LOGIN + 1), "/login")[0] == 413
    assert ask([b"x" * LARGEST_LOGIN, b"x"], CHUNKED_HEADERS, "/login")[0] == 413
    assert ask([b"x" * LARGEST_LOGIN], CHUNKED_HEADERS, "/login")[0] == 200


@pytest.mark.parametrize("text", ["-1", "ten", "1.5", ""])
def test_a_length_that_is_no_number_is_refused(ask, text):
    assert ask([b"x"], [("content-length", text)])[::3] == (400, 0)


@pytest.mark.parametrize("headers", [CHUNKED_HEADERS, length(4), length(300 * 2**20), []])
def test_without_a_login_nothing_is_read(ask, headers):
    status, answer_headers, _, read = ask([PART] * 300, headers, login="guessed")
    assert (status, read) == (401, 0)
    assert answer_headers["connection"] == "close"


def test_with_a_login_the_limits_are_the_same(ask):
    assert ask([b"abcd"], length(4), login="token")[:3:2] == (200, "4")
    assert ask([PART] * 3, length(300 * 2**20), login="token")[::3] == (413, 0)


@pytest.mark.parametrize("login", [None, "guessed"])
def test_a_refusal_has_the_security_headers(ask, login):
    _, answer_headers, _, _ = ask([b"x"], length(LARGEST + 1), login=login)
    assert {name: answer_headers.get(name.lower()) for name in HEADERS} == HEADERS
