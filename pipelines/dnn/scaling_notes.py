"""Notes if pixels seem to be scaled otherwise than when the DNN was trained.

A wrong scaling causes no error. The DNN only guesses, and many failing images are no failures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.data.arrays import Floats
from pipelines.data.images import ImageFile, Rejected
from pipelines.data.labels import Truth
from pipelines.dnn.evaluation import Outcome, Task, judge
from pipelines.dnn.model import SCALINGS, Network, Scaling, load_batches, scale
from pipelines.runs.errors import InputError
from pipelines.runs.manifest import Manifest
from pipelines.runs.wording import count_of

SAMPLE = 64
"""Largest number of labelled images with which other scalings are tried."""
BATCH = 8
CHANCE = 0.001
"""Significance level of a difference, for all other scalings together."""
RATIO = 2
"""For numbers: another scaling is better if the mean error is smaller by this factor."""
COLOUR_SCALINGS = ("caffe", "torch")

Batch = list[tuple[ImageFile, NDArray[np.uint8]]]


def note_double_scaling(manifest: Manifest, network: Network) -> None:
    """Add a note if pixels are scaled outside a model that also rescales them inside."""
    if network.rescaling and network.scaling != "none":
        manifest.notes.append(
            f"Pixels are scaled twice: by --scaling {network.scaling}, and once more by "
            f"{network.rescaling!r} inside the model. Leave --scaling out, unless the model was "
            "trained so."
        )


class Judging(TypedDict, total=False):
    """How labels and outputs are compared; see `evaluation.judge`."""

    task: Task | None
    classes: Sequence[str] | None
    error_threshold: float | None
    key_points: bool


def note_better_scaling(
    manifest: Manifest,
    network: Network,
    folder: Path,
    images: Sequence[ImageFile],
    truth: Truth | None,
    **judging: Unpack[Judging],
) -> None:
    """Add a note if another scaling would be right for many more of the labelled images.

    At most 64 images are used, evenly spread over the list; so time does not grow with the list.

    Parameters
    ----------
    truth : Truth or None
        Labels of the images; without labels, no note is added.
    """
    if truth is None:
        return
    labelled = [image for image in images if image.path in truth.values]
    batches = _load_sample(network, folder, labelled)
    paths = [image.path for batch in batches for image, _ in batch]
    if not paths:
        return

    def test(scaling: str) -> Outcome | None:
        outputs = _predict(replace(network, scaling=cast(Scaling, scaling)), batches)
        try:
            return judge(truth, paths, outputs, network.activation, **judging)
        except InputError:  # other code refuses, or notes, labels that do not fit
            return None

    used = test(network.scaling)
    if used is None or (used.errors is None and used.correct.all()):
        return
    others = [one for one in SCALINGS if one != network.scaling and _fits(one, network)]
    outcomes = {other: test(other) for other in others}
    better = {
        name: outcome
        for name, outcome in outcomes.items()
        if outcome is not None and is_better(outcome, used, len(others))
    }
    if better:
        name, outcome = max(better.items(), key=lambda pair: _goodness(pair[1]))
        manifest.notes.append(
            f"Of {count_of(len(paths), 'labelled image')}, --scaling {name} gives "
            f"{_describe(outcome)}, and --scaling {network.scaling}, which was used, "
            f"{_describe(used)}. Check with which scaling the model was trained."
        )


def _fits(scaling: str, network: Network) -> bool:
    return network.channels == 3 or scaling not in COLOUR_SCALINGS


def _load_sample(network: Network, folder: Path, images: Sequence[ImageFile]) -> list[Batch]:
    """Load at most 64 images, evenly spread over the list; it may be empty."""
    if not images:
        return []
    places = np.unique(np.linspace(0, len(images) - 1, SAMPLE).round().astype(int))
    sample = [images[place] for place in places.tolist()]
    batches = (
        [item for item in batch if not isinstance(item, Rejected)]
        for batch in load_batches(network, folder, sample, BATCH)
    )
    return [batch for batch in batches if batch]


def _predict(network: Network, batches: Sequence[Batch]) -> Floats:
    """Return the outputs, with 0 for numbers that are not finite."""
    outputs = [
        network.model(scale(network, np.stack([pixels for _, pixels in batch])), training=False)
        for batch in batches
    ]
    values = np.concatenate([np.asarray(output, dtype=np.float32) for output in outputs])
    finite: Floats = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return finite


def is_better(other: Outcome, used: Outcome, tried: int = 1) -> bool:
    """Tell whether another scaling is better than the one that was used, beyond chance.

    The test is McNemar's exact test of the images on which only one of the two scalings is right.
    For numbers it is the sign test of the errors, and the mean error must also be half as large.

    Parameters
    ----------
    tried : int
        Number of scalings that are tried; the significance level is divided by it.
    """
    from scipy.stats import binomtest

    if other.errors is not None and used.errors is not None:
        wins = int((other.errors < used.errors).sum())
        losses = int((other.errors > used.errors).sum())
        if float(other.errors.mean()) * RATIO > float(used.errors.mean()):
            return False
    else:
        wins = int((other.correct & ~used.correct).sum())
        losses = int((used.correct & ~other.correct).sum())
    if wins <= losses:
        return False
    return bool(binomtest(wins, wins + losses, alternative="greater").pvalue * tried < CHANCE)


def _goodness(outcome: Outcome) -> float:
    return -float(outcome.errors.mean()) if outcome.errors is not None else outcome.accuracy()


def _describe(outcome: Outcome) -> str:
    if outcome.errors is not None:
        return f"a mean error of {float(outcome.errors.mean()):.3g}"
    return f"{100 * outcome.accuracy():.0f} % right"
