"""Options of the commands that find root cause clusters, explain them and report on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from app.commands.common import (
    FAILING_IMAGES,
    Angles,
    Overwrite,
    ParameterFiles,
    UnsafeValues,
)
from app.commands.option import Option
from app.numbers import COUNT, POSITIVE, SEED

RECIPES = ("contrast", "appearance", "default", "paper")
LAYERS = (
    *(f"block{block}_conv{layer + 1}" for block in range(1, 6) for layer in range(2 + (block > 2))),
    "fc1",
    "fc2",
    *(f"block{block}_pool" for block in range(1, 6)),
)
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Options of `cluster`."""

    out: Annotated[
        Path, Option("Run folder to write; it must be new or empty.", label="Run folder")
    ]
    images: Annotated[
        Path | None,
        replace(
            FAILING_IMAGES,
            help=f"{FAILING_IMAGES.help} Not needed with --test-run.",
            needed="the folder that holds the images, or try the example",
        ),
    ] = None
    passing: Annotated[
        Path | None,
        Option(
            "Images of the same test on which the DNN is right. With them, causes of failures are "
            "distinguished from what all images show, and failure rates are estimated.",
            metavar="FOLDER|LIST",
            label="Passing images of the same test, or the folder of a test",
            info="They distinguish causes from what all images show, and give failure rates. A "
            "test also names its failing images.",
            images=True,
        ),
    ] = None
    test_run: Annotated[
        Path | None,
        Option(
            "Folder that `test` wrote. It has failing and passing images, labels and predictions, "
            "and replaces IMAGES.",
            metavar="DIR",
        ),
    ] = None
    sample: Annotated[
        int, Option("Largest number of passing images that are used.", numbers=COUNT)
    ] = 2000
    groups: Annotated[
        str | None,
        Option(
            "How to find the group (track, drive or person) of each image: a column of a table of "
            "--parameters, or a regular expression whose first group in the path is the group. "
            "auto: the part of the file name before a frame number, otherwise pictures that are "
            "nearly the same. none: every image is a group of its own. (default: auto)",
            metavar="COLUMN|REGEX|auto|none",
            label="Groups of images",
            info="How to find the track, drive or person of each image: a column of the tables, a "
            "regular expression, or none. Empty: by names such as 00012_00003.png, otherwise by "
            "pictures that are nearly the same.",
        ),
    ] = None
    overwrite: Overwrite = False
    recipe: Annotated[
        str,
        Option(
            "'contrast': failing images in contrast with passing ones (block2_pool to "
            "block4_pool, 40 components). 'appearance': by the appearance of images (block4_pool "
            "and block5_pool, or block3_pool and block4_pool, the set with the better clusters; "
            "unit length, 50 components). 'default': appearance with block4_pool and block5_pool "
            "alone, as in earlier versions. 'paper': SAFE as in the paper (fc2, 256 components); "
            "downloads 528 MB. (default: contrast with passing images, otherwise appearance)",
            show_default=False,
            label="Recipe",
            info="by input: contrast with passing images, otherwise appearance. paper: SAFE as in "
            "the paper; downloads 528 MB.",
            choices=RECIPES,
            unset="by input",
        ),
    ] = ""
    weights: Annotated[
        Path | None,
        Option(
            "Keras weights file of VGG16. (default: ImageNet's)",
            label="Weights of VGG16",
            info="A Keras file. Empty: ImageNet's.",
        ),
    ] = None
    layer: Annotated[
        tuple[str, ...],
        Option(
            "Layer of VGG16; repeat for several. (default: the recipe's)",
            metavar="NAME",
            label="Layers of VGG16",
            info="Empty: the recipe's.",
            choices=LAYERS,
        ),
    ] = ()
    components: Annotated[
        int | None,
        Option(
            "Principal components. (default: the recipe's)",
            numbers=COUNT,
            label="Principal components",
            info="Empty: the recipe's.",
        ),
    ] = None
    min_samples: Annotated[
        int | None,
        Option(
            "min_samples of DBSCAN. (default: chosen by a search)",
            numbers=COUNT,
            label="min_samples of DBSCAN",
            info="Empty: chosen by a search.",
        ),
    ] = None
    eps: Annotated[
        float | None,
        Option(
            "eps of DBSCAN. (default: chosen by a search)",
            numbers=POSITIVE,
            label="eps of DBSCAN",
            info="Empty: chosen by a search.",
        ),
    ] = None
    seed: Annotated[
        int,
        Option(
            "Seed of the randomised PCA, and of the random groups against which hints and "
            "parameters are tested.",
            numbers=SEED,
            label="Seed",
            info="Seed of the randomised PCA, and of the random groups against which hints and "
            "parameters are tested.",
        ),
    ] = 0
    batch_size: Annotated[
        int,
        Option(
            "Number of images per batch of the network.",
            numbers=COUNT,
            label="Batch size",
            info="Number of images per batch of the network.",
        ),
    ] = 8
    precision: Annotated[
        str,
        Option(
            "auto, float32 or bfloat16; auto takes the fastest on this CPU.",
            label="Precision",
            info="auto: the fastest on this CPU.",
            choices=PRECISIONS,
        ),
    ] = "auto"
    parameters: ParameterFiles = ()
    angles: Angles = ()
    unsafe_values: UnsafeValues = None


@dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """Options of `explain`."""

    run: Annotated[Path, Option("Run folder whose clusters are explained.", by_place=True)]
    parameters: ParameterFiles = ()
    angles: Angles = ()
    unsafe_values: UnsafeValues = None
    seed: Annotated[
        int | None, Option("Seed of the random groups. (default: the run's)", numbers=SEED)
    ] = None


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Options of `report`."""

    run: Annotated[Path, Option("Run folder to report on.", by_place=True)]


@dataclass(frozen=True, kw_only=True)
class ExampleOptions:
    """Options of `example`."""

    folder: Annotated[Path, Option("New or empty folder for the example.", by_place=True)]
    seed: Annotated[int, Option("Seed; other seeds draw other eyes.", numbers=SEED)] = 0
    overwrite: Annotated[bool, Option("Replace an earlier example.")] = False
