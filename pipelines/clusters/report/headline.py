"""The headline: the outcome of a search for root cause clusters in two or three sentences."""

from __future__ import annotations

from pipelines.clusters.manifest import ClusterFigures, ExplanationFigures, PassingFigures
from pipelines.clusters.rates import AS_COMMON, ONE_SUBJECT, SITUATION, TOO_FEW, FailureRate
from pipelines.runs.manifest import Manifest, find_part, read_part
from pipelines.runs.wording import count_of

KIND_TITLES = {
    SITUATION: "Situations that fail more often than the rest",
    TOO_FEW: "Too few images to tell",
    AS_COMMON: "As common among passing images",
    ONE_SUBJECT: "Of one subject each",
}
WEIGHTED = 0.005
"""If a rate differs more from the share of failing images among the counted ones, it is an estimate
("about"), because passing images were sampled."""


def describe_rate(rate: FailureRate) -> str:
    """Describe how often images like those of a cluster fail, compared with all others."""
    images = rate.failing + rate.passing
    share = f"{100 * rate.rate:.0f} %"
    interval = f"95 % interval {100 * rate.low:.0f} to {100 * rate.high:.0f} %"
    elsewhere = f"elsewhere {100 * rate.elsewhere:.0f} %"
    if abs(rate.rate - rate.failing / images) > WEIGHTED:
        return (
            f"fails on about {share} of images like these ({rate.failing:,} failing, "
            f"{rate.passing:,} passing in the sample; {interval}), {elsewhere}"
        )
    like = f"{count_of(images, 'image')} like these"
    return f"fails on {rate.failing:,} of {like} ({share}, {interval}), {elsewhere}"


def write_headline(manifest: Manifest, images: int) -> list[str]:
    """Describe the clusters that a search found, with passing images or without.

    Parameters
    ----------
    images : int
        Failing images that were used.

    Raises
    ------
    InputError
        When the manifest cannot be read.
    """
    if sentences := describe_situations(manifest, images):
        return sentences
    figures, families = (
        read_part(manifest, ClusterFigures),
        read_part(manifest, ExplanationFigures),
    )
    sentences = [
        f"{count_of(figures.clusters, 'root cause cluster')} of {count_of(images, 'image')}; "
        f"{count_of(figures.noise, 'image')} ({figures.noise_share:.0%}) "
        f"{'is' if figures.noise == 1 else 'are'} noise."
    ]
    if figures.clusters:
        sentences.append(
            f"Five images of each cluster make up {figures.inspection_share:.0%} of all images, "
            f"five of each of {count_of(families.families, 'family', 'families')} "
            f"{families.family_inspection_share:.0%}."
        )
    return sentences


def describe_situations(manifest: Manifest, images: int) -> list[str]:
    """Describe how many failures lie in situations; an empty list without passing images.

    Parameters
    ----------
    images : int
        Failing images that were used.

    Raises
    ------
    InputError
        When the manifest cannot be read.
    """
    passing = find_part(manifest, PassingFigures)
    if passing is None or not images:
        return []
    figures = read_part(manifest, ClusterFigures)
    parts = [
        f"{count_of(passing.situations, 'situation')} that "
        f"{'fails' if passing.situations == 1 else 'fail'} more often than the rest "
        f"({_whole(passing.situation_images / images)} of the failures)"
    ]
    if passing.too_few:
        parts.append(
            f"{count_of(passing.too_few, 'cluster')} of too few images to tell "
            f"({count_of(passing.too_few_images, 'failure')})"
        )
    if passing.as_common:
        parts.append(
            f"{count_of(passing.as_common, 'cluster')} as common among passing images "
            f"({count_of(passing.as_common_images, 'failure')})"
        )
    if passing.one_subject:
        parts.append(
            f"{count_of(passing.one_subject, 'cluster')} of one subject each "
            f"({count_of(passing.one_subject_images, 'failure')})"
        )
    parts.append(f"{count_of(figures.noise, 'image')} without a common look")
    total = images + passing.passing
    # Some images of a sample may be copies of failing images, so the total is an estimate.
    about = "about " if passing.passing_sample < passing.passing else ""
    return [
        f"{', '.join(parts)}.",
        f"The DNN fails on {images:,} of {about}{count_of(total, 'image')} "
        f"({100 * passing.failure_rate:.1f} %); "
        f"five images of each cluster make up {_whole(figures.inspection_share)} of the failures.",
    ]


def _whole(share: float) -> str:
    return f"{100 * share:.0f} %"
