"""What the Retraining tab fills in when a run is opened."""

import gradio as gr
import pytest

from app.page.tabs import retraining

RUN = ("model", "train", "test")


@pytest.mark.parametrize(
    ("entered", "earlier", "filled"),
    [
        (("", "", ""), ("", "", ""), RUN),
        ((None, " ", ""), ("", "", ""), RUN),
        (("old", "mine", "old"), ("old", "old", "old"), ("model", None, "test")),
        (RUN, RUN, (None, None, None)),
        (("model", "mine", "test"), RUN, (None, None, None)),
    ],
)
def test_a_field_is_filled_unless_the_user_typed_or_it_has_its_value(
    entered, earlier, filled, monkeypatch
):
    monkeypatch.setattr(retraining, "suggest_places", lambda page, run: RUN)
    suggested, *updates = retraining._suggest(None, "run", earlier, entered)
    assert suggested == RUN
    nothing = gr.skip()
    assert [None if update == nothing else update.value for update in updates] == list(filled)
