"""An event that fails says so: what a user can mend, and apart from it, faults of the tool."""

import asyncio
import inspect
import logging
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest
from gradio.state_holder import SessionState
from gradio.utils import error_payload

from app.exit_codes import FAULT
from app.page import folders, page
from app.page.context import Page
from app.page.faults import guard_events
from app.page.tabs import clusters
from app.server.access import Access
from app.server.jobs import Jobs
from app.server.routes import ServedRuns
from pipelines.runs.errors import InputError


@pytest.fixture
def new_page(tmp_path):
    new_page = Page(Access(), Jobs(), ServedRuns(Access()), tmp_path)
    yield new_page
    new_page.jobs.close()


def build(function):
    """Build a page of one event, and return both."""
    with gr.Blocks() as blocks:
        blocks.load(function, None, gr.Textbox())
    guard_events(blocks)
    (event,) = blocks.fns.values()
    return blocks, event


def answer(blocks, event, *values):
    """Let Gradio do an event as it does for a browser; return what the browser is sent."""
    call = blocks.process_api(
        event, list(values), state=SessionState(blocks), in_event_listener=True
    )
    try:
        # In a thread: the one of the tests may run the loop of a browser.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, call).result()["data"]
    except Exception as error:
        return error_payload(error, False)


def fail(*values, **keywords):
    """Fail as code does that takes nothing for something."""
    return None.words


def refuse():
    raise InputError("/a/<b> is no folder. Name another.")


def go_on():
    yield "so far"
    fail()


def test_an_event_that_works_answers_as_before(caplog):
    assert answer(*build(lambda: "fine")) == ["fine"]
    assert caplog.text == ""


def test_a_fault_is_said_to_be_one_and_logged_with_its_traceback(caplog):
    with caplog.at_level(logging.ERROR):
        notice = answer(*build(fail))
    assert notice["error"].startswith(f"{FAULT}: AttributeError: ")
    assert "Please send" in notice["error"]
    assert notice["title"] == "A fault of the tool"
    assert notice["duration"] is None
    assert "Traceback" in caplog.text
    assert "in fail" in caplog.text


def test_what_a_user_can_mend_is_said_as_it_is_and_not_logged(caplog):
    with caplog.at_level(logging.ERROR):
        notice = answer(*build(refuse))
    assert notice["error"] == "/a/&lt;b&gt; is no folder. Name another."
    assert caplog.text == ""


def test_a_file_that_may_not_be_read_is_named(caplog, tmp_path):
    def read():
        (tmp_path / "missing").read_bytes()

    with caplog.at_level(logging.ERROR):
        notice = answer(*build(read))
    assert notice["error"] == f"{tmp_path / 'missing'}: No such file or directory"
    assert caplog.text == ""


def test_a_fault_in_the_middle_of_several_answers_is_told_too(caplog):
    _, event = build(go_on)
    assert inspect.isgeneratorfunction(event.fn)
    answers = event.fn()
    assert next(answers) == "so far"
    with caplog.at_level(logging.ERROR), pytest.raises(gr.Error, match=FAULT):
        next(answers)
    assert "in fail" in caplog.text


@pytest.mark.parametrize(
    ("module", "name", "element", "kind"),
    [
        (folders, "list_run_choices", "open-run", "focus"),
        (Jobs, "stop", "stop", "click"),
        (clusters, "read", "find", "click"),
    ],
)
def test_faults_behind_the_real_page_are_told(
    new_page, monkeypatch, caplog, module, name, element, kind
):
    blocks = page.build(new_page)
    ids = {block.elem_id: number for number, block in blocks.blocks.items()}
    events = {target: event for event in blocks.fns.values() for target in event.targets}
    event = events[ids[element], kind]
    monkeypatch.setattr(module, name, fail)
    with caplog.at_level(logging.ERROR):
        notice = answer(blocks, event, *[None] * len(event.inputs))
    assert FAULT in notice["error"]
    assert "in fail" in caplog.text
