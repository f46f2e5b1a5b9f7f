"""Branches of networks, each with its relevance."""

import numpy as np
import pytest

from pipelines.dnn.relevance import build_relevance
from tests.pipelines.dnn.networks import HIGH, LOW, all_branches, draw_images


@pytest.fixture(scope="session")
def branches():
    """Return the model of all branches, images, and its relevances by rule."""
    model, images, found = all_branches(), draw_images(), {}

    def relevances(rule):
        if rule not in found:
            options = {"input_rule": "box", "low": LOW, "high": HIGH} if rule == "box" else {}
            run = build_relevance(model, rule="z+" if rule == "box" else rule, **options)
            found[rule] = run(images, np.array([0, 2, -1], np.int32))
        return found[rule]

    return model, images, relevances
