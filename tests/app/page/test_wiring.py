"""A tab's buttons, its command line and its results: what they show, and what they leave."""

from pathlib import Path

import gradio as gr
import pytest

from app.page.context import Page
from app.page.form import Form
from app.page.wiring import Action, Following, command_lines, create, wire
from app.server.access import Access
from app.server.jobs import Command, Jobs
from app.server.routes import ServedRuns
from pipelines.runs.errors import InputError


@pytest.fixture
def page(tmp_path):
    page = Page(Access(), Jobs(), ServedRuns(Access()), tmp_path)
    yield page
    page.jobs.close()


def refuse(entries):
    raise InputError(f"Give more than {sorted(entries)}.")


def name(entries):
    return [Command((entries["job"], "a b"), Path()), Command(("explain",), Path())]


def build(page, commands, show):
    """Build a tab of one field and one button; return its functions by what triggers them."""
    form = Form({})
    with gr.Blocks() as blocks:
        following = create(page, gr.Dropdown())
        assert isinstance(following, Following)
        form.put("job", gr.Textbox())
        button, pane, line = gr.Button(), gr.HTML(), gr.Textbox()
        wire(page, following, [Action(button, form, commands)], line, [pane], show)
    of = {target: event for event in blocks.fns.values() for target in event.targets}
    return (
        of[button._id, "click"].fn,
        of[following.turn._id, "change"].fn,
        of[form.fields["job"]._id, "change"].fn,
    )


def is_unchanged(update):
    return update == gr.skip()


def test_the_command_line_is_shown_where_there_is_one():
    lines = command_lines(name, {"job": "report"})
    first, second = lines.value.splitlines()
    assert first.endswith("SAFE_Tool.py report 'a b'")
    assert second.endswith("SAFE_Tool.py explain")
    assert lines.visible
    no_lines = command_lines(refuse, {})
    assert (no_lines.value, no_lines.visible) == ("", False)


def test_a_button_says_what_is_missing_and_leaves_the_results(page):
    press, _, show_line = build(page, refuse, lambda look, entries: None)
    *others, notice, pane = press("cluster")
    assert "Give more than [&#x27;job&#x27;]." in notice
    assert is_unchanged(pane)
    assert all(map(is_unchanged, others))
    assert page.jobs.look() is None
    assert show_line("cluster").visible is False


def test_nothing_is_shown_of_a_job_before_there_is_one(page):
    calls = []
    _, turn, _ = build(page, name, lambda look, entries: calls.append(entries))
    button, *others = turn(("", True), "entry")
    assert button.interactive
    assert len(others) == 2
    assert all(map(is_unchanged, others))
    assert not calls


def test_the_results_follow_a_job_that_this_page_saw_end(page, tmp_path):
    _, turn, _ = build(page, name, lambda look, entries: [look.state, entries["job"]])
    page.jobs.start([Command(("report", str(tmp_path / "none")), tmp_path)])
    page.jobs._thread.join()
    _, *updates = turn(("1 failed", False), "entry")
    assert all(map(is_unchanged, updates))
    button, *contents = turn(("1 failed", True), "entry")
    assert button.interactive
    assert contents == ["failed", "entry"]
