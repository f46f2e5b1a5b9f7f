"""Options of the commands that select the unsafe set, change it, and export it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from app.commands.common import HOW, TrustModel
from app.commands.option import Option
from app.numbers import CLUSTER, COUNT, PART, SHARE

ALLOCATIONS = ("uniform", "proportional")
RANKINGS = ("contrast", "distance")


@dataclass(frozen=True, kw_only=True)
class SelectOptions:
    """Options of `select`."""

    run: Annotated[
        Path, Option("Run folder of clusters; the unsafe set is written there.", by_place=True)
    ]
    improvement: Annotated[
        Path,
        Option(
            "Folder or list of new images, the improvement set; read only.",
            by_place=True,
            label="Folder of new images, the improvement set",
            needed="the folder that holds the new images",
        ),
    ]
    count: Annotated[
        int | None,
        Option(
            "Number of images to choose. (default: the papers' estimate if its figures are given, "
            "otherwise 10 % of the images)",
            numbers=COUNT,
            label="Images to choose",
            info="A number here replaces the estimate.",
        ),
    ] = None
    test_images: Annotated[
        int | None,
        Option(
            "Size of the test set that the failing images come from; the papers' estimate needs "
            "it and --accuracy.",
            numbers=COUNT,
            label="Test images",
            info="Number of all, right and wrong.",
        ),
    ] = None
    accuracy: Annotated[
        float | None,
        Option(
            "Accuracy of the DNN under analysis on that test set: 0.93, or 93 %.",
            numbers=SHARE,
            label="Accuracy on them",
            info="A share such as 0.93, or 93 %.",
        ),
    ] = None
    test: Annotated[
        Path | None,
        Option("Folder that `test` wrote, instead of --test-images and --accuracy.", metavar="DIR"),
    ] = None
    selection_factor: Annotated[
        float,
        Option(
            "The papers' factor: it limits the set to a share of the test set.",
            numbers=PART,
            label="Selection factor",
            info="0.3 in the papers.",
        ),
    ] = 0.3
    allocation: Annotated[
        str,
        Option(
            "uniform: evenly over the clusters (SAFE); proportional: by their size (HUDD).",
            label="Shared out over the clusters",
            info="uniform: evenly (SAFE). proportional: by their size (HUDD).",
            choices=ALLOCATIONS,
        ),
    ] = "uniform"
    ranking: Annotated[
        str,
        Option(
            "Which images come first. contrast: those that are more like failing images than like "
            "passing ones (in runs without passing images, than like other new ones); distance: "
            "those nearest to a core image (SAFE, HUDD).",
            label="Which images come first",
            info="contrast: images more like failing than like passing ones. distance: those "
            "nearest to a core image (SAFE, HUDD).",
            choices=RANKINGS,
        ),
    ] = "contrast"
    duplicates: Annotated[
        bool,
        Option(
            "Choose near-duplicates, too.",
            label="Choose images that look the same, too",
            info="Otherwise near-duplicates count once.",
        ),
    ] = False
    groups: Annotated[
        str | None,
        Option(
            "How to find the group (track, drive or person) of each image; the first image of "
            "every group is chosen before the second of any. A regular expression whose first "
            "group in the path is the group. auto: the part of the file name before a frame "
            "number. none: every image is a group of its own. (default: auto)",
            metavar="REGEX|auto|none",
            label="Groups of new images",
            info="How to find the track, drive or person of each image; the first image of each is "
            "chosen before the second of any: a regular expression, or none. Empty: by names such "
            "as 00012_00003.png.",
        ),
    ] = None
    overwrite: Annotated[
        bool,
        Option(
            "Replace a labelled unsafe set that was selected from another folder.",
            label="Replace labels of another folder",
            info="Otherwise a labelled unsafe set of another folder is kept, and the job is "
            "refused.",
        ),
    ] = False
    export: Annotated[
        Path | None,
        Option(
            "New folder for copies of the chosen images, one folder per cluster, and for import "
            "files of Label Studio and COCO."
        ),
    ] = None
    link: Annotated[bool, Option("Link the images in --export instead of copying them.")] = False
    trust_model: TrustModel = False


@dataclass(frozen=True, kw_only=True)
class RecutOptions:
    """Options of `recut`."""

    run: Annotated[Path, Option("Run folder whose unsafe set is changed.", by_place=True)]
    count: Annotated[
        int | None, Option("Number of images to choose. (default: as before)", numbers=COUNT)
    ] = None
    without: Annotated[
        tuple[str, ...], Option("Image to take out; repeat for several.", metavar="PATH")
    ] = ()
    without_cluster: Annotated[
        tuple[int, ...],
        Option(
            "Cluster to take out with all its images; repeatable.", metavar="ID", numbers=CLUSTER
        ),
    ] = ()
    with_: Annotated[
        tuple[str, ...], Option("Image to take in again; repeat for several.", metavar="PATH")
    ] = ()
    with_cluster: Annotated[
        tuple[int, ...],
        Option("Cluster to take in again; repeat for several.", metavar="ID", numbers=CLUSTER),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of `export`."""

    run: Annotated[
        Path,
        Option(
            "Run folder whose unsafe set is exported; for a run of coverage, the new images that "
            "widen the test set are exported.",
            by_place=True,
        ),
    ]
    folder: Annotated[
        Path,
        Option(
            "New or empty folder.",
            by_place=True,
            label="New folder",
            info="For the images, with label_studio.json (import it into Label Studio) and "
            "coco.json.",
            needed="the new folder that the images are to go to",
        ),
    ]
    link: Annotated[
        bool,
        Option(
            "Link instead of copying.",
            label="How",
            info="Originals are never moved.",
            choices=HOW,
        ),
    ] = False
    count: Annotated[
        int | None,
        Option(
            "For a run of coverage: number of images to export, best first. (default: those that "
            "add a combination)",
            numbers=COUNT,
            label="Images",
            info="Best first. Empty: those that add a combination.",
        ),
    ] = None
