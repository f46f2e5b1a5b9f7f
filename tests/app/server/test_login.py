"""The login: a password that is guessed takes longer and longer."""

import logging

import pytest
from starlette.testclient import TestClient

from app.server.access import HEADERS, Access, middleware
from app.server.login import FREE_TRIES, LONGEST_WAIT, MOST_ADDRESSES, SECONDS_KEPT, Tries


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(clock, monkeypatch):
    """Return a browser before Gradio's own login."""
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr
    from gradio.routes import App

    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.HTML()
    blocks.auth = [("eva", "sesame")]
    blocks.config = blocks.get_config_file()
    app = App.create_app(blocks, app_kwargs={"middleware": middleware(Access(), clock)})
    return TestClient(app, base_url="http://localhost:7860")


def log_in(client, password):
    return client.post("/login", data={"username": "eva", "password": password})


def fail(tries, count, address="192.0.2.1"):
    for _ in range(count):
        tries.begin(address)


def test_each_wrong_password_after_the_fifth_doubles_the_wait(clock):
    tries = Tries(clock)
    waits = []
    for _ in range(20):
        waits.append(tries.wait("192.0.2.1"))
        clock.now += waits[-1]
        fail(tries, 1)
    doubling_waits = [min(2.0**power, LONGEST_WAIT) for power in range(20 - FREE_TRIES)]
    assert waits == [0.0] * FREE_TRIES + doubling_waits
    fail(tries, 3000)  # no number grows too large
    assert tries.wait("192.0.2.1") == LONGEST_WAIT


def test_an_address_waits_for_its_own_guesses_alone(clock):
    tries = Tries(clock)
    fail(tries, FREE_TRIES + 3)
    assert tries.wait("192.0.2.1") == 8
    assert tries.wait("192.0.2.2") == 0
    clock.now += 5
    assert tries.wait("192.0.2.1") == 3
    tries.succeed("192.0.2.1")
    assert tries.wait("192.0.2.1") == 0


def test_wrong_passwords_are_forgotten_and_not_without_end_remembered(clock):
    tries = Tries(clock)
    fail(tries, FREE_TRIES)
    clock.now += SECONDS_KEPT + 1
    fail(tries, 1, "192.0.2.2")
    fail(tries, 1)
    assert tries.wait("192.0.2.1") == 0
    for number in range(MOST_ADDRESSES + 10):
        fail(tries, 1, str(number))
    assert len(tries._tries) == MOST_ADDRESSES


def test_the_sixth_guess_has_to_wait_even_if_it_is_right(client, clock):
    assert [log_in(client, f"guess {n}").status_code for n in range(FREE_TRIES)] == [400] * 5
    answer = log_in(client, "sesame")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    clock.now += 1
    assert log_in(client, "guess").status_code == 400
    assert log_in(client, "sesame").headers["retry-after"] == "2"
    clock.now += 2
    assert log_in(client, "sesame").status_code == 200
    assert client.get("/config").status_code == 200


def test_who_mistypes_now_and_then_never_waits(client):
    for _ in range(3):
        assert [log_in(client, "seasme").status_code for _ in range(4)] == [400] * 4
        assert log_in(client, "sesame").status_code == 200


def test_a_wrong_password_is_logged_and_not_what_it_was(client, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(FREE_TRIES + 1):
            log_in(client, "nearly sesame")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == FREE_TRIES
    assert lines[0].startswith("Wrong password from testclient, the 1. in a row")
    assert lines[-1].endswith("the next is taken in 1 s.")
    assert "sesame" not in caplog.text
    assert "eva" not in caplog.text


def test_the_cookies_are_those_of_gradio(client):
    cookies = log_in(client, "sesame").headers.get_list("set-cookie")
    assert len(cookies) == 2
    assert all("HttpOnly" in cookie for cookie in cookies)
    assert "Secure" in cookies[0]


def test_who_has_not_logged_in_may_send_nothing(client):
    for path in ("/gradio_api/queue/join", "/gradio_api/reset", "/gradio_api/cancel"):
        assert client.post(path, json={}).status_code == 401
    assert client.get("/gradio_api/startup-events").status_code == 200
