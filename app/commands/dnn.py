"""Options of the commands on the DNN under analysis: its test, and clusters by its heatmaps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from app.commands.common import (
    BATCH_SIZE,
    FAILING_IMAGES,
    NEW_FOLDER,
    OVERWRITE,
    Angles,
    EvaluatedOptions,
    ModelFile,
    Overwrite,
    ParameterFiles,
    RunFolder,
    Scaling,
    TrustModel,
    UnsafeValues,
)
from app.commands.option import Option
from app.numbers import SEED

RULES = ("z+", "epsilon", "alpha-beta")


@dataclass(frozen=True, kw_only=True)
class TestOptions(EvaluatedOptions):
    """Options of `test`."""

    __test__ = False  # otherwise pytest takes it for a test, because of its name

    model: ModelFile
    images: Annotated[
        Path,
        Option(
            "Folder of labelled images (class folders, or labels.csv), or a list of them; read "
            "only.",
            by_place=True,
            label="Folder of labelled test images, or a test's failures.txt",
            needed="the folder of labelled images",
            images=True,
        ),
    ]
    out: Annotated[Path, NEW_FOLDER]
    overwrite: Annotated[bool, replace(OVERWRITE, help="Replace the test that --out holds.")] = (
        False
    )


@dataclass(frozen=True, kw_only=True)
class HeatmapsOptions:
    """Options of `heatmaps`."""

    model: ModelFile
    images: Annotated[Path, FAILING_IMAGES]
    out: RunFolder
    overwrite: Overwrite = False
    scaling: Scaling = None
    layer: Annotated[
        tuple[str, ...],
        Option(
            "Layer whose heatmaps are clustered; repeat for several. (default: all)",
            metavar="NAME",
            former="--layers",
            label="Layers to search",
            info="Names separated by commas. Empty: all internal layers.",
        ),
    ] = ()
    rule: Annotated[
        str,
        Option(
            "Rule of relevance: z+ (HUDD's), epsilon or alpha-beta.",
            label="Rule",
            info="z+: HUDD's.",
            choices=RULES,
        ),
    ] = "z+"
    explain: Annotated[
        str | None,
        Option(
            "Class (or position of an output) whose relevance is measured. (default: the "
            "predicted class; for numbers and several labels, the output with the largest error "
            "in the test)",
            metavar="CLASS",
            label="Class to explain",
            info="A class, or the position of an output. Empty: the predicted one.",
        ),
    ] = None
    seed: Annotated[
        int,
        Option(
            "Seed of the random groups against which hints and parameters are tested.", numbers=SEED
        ),
    ] = 0
    batch_size: Annotated[int, BATCH_SIZE] = 16
    trust_model: TrustModel = False
    parameters: ParameterFiles = ()
    angles: Angles = ()
    unsafe_values: UnsafeValues = None
