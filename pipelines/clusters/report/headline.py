"""What a search for root cause clusters came to, in two or three sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.clusters.rates import AS_COMMON, ONE_SUBJECT, SITUATION, TOO_FEW, FailureRate
from pipelines.runs.wording import count_of

KIND_TITLES = {
    SITUATION: "Situations that fail more often than the rest",
    TOO_FEW: "Too few images to tell",
    AS_COMMON: "As common among passing images",
    ONE_SUBJECT: "Of one subject each",
}
WEIGHTED = 0.005
"""Difference of the rate from that of the images counted, above which it is an estimate."""


def describe_rate(rate: FailureRate) -> str:
    """Say how often images like those of a cluster fail, and all others."""
    images = rate.failing + rate.passing
    share = f"{100 * rate.rate:.0f} %"
    interval = f"95 % interval {100 * rate.low:.0f} to {100 * rate.high:.0f} %"
    elsewhere = f"elsewhere {100 * rate.elsewhere:.0f} %"
    if abs(rate.rate - rate.failing / images) > WEIGHTED:
        return (
            f"fails on about {share} of images like these ({rate.failing:,} failing, "
            f"{rate.passing:,} of the sample of passing ones; {interval}), {elsewhere}"
        )
    like = f"{images:,} {'image' if images == 1 else 'images'} like these"
    return f"fails on {rate.failing:,} of {like} ({share}, {interval}), {elsewhere}"


def write_headline(result: Mapping[str, Any], images: int) -> list[str]:
    """Say what was found among failing images.

    Parameters
    ----------
    result : mapping
        `result` of the manifest.
    images : int
        Failing images that were used.
    """
    if "situations" not in result:
        sentences = [
            f"{count_of(result['clusters'], 'root cause cluster')} of {count_of(images, 'image')}; "
            f"{count_of(result['noise'], 'image')} ({result['noise_share']:.0%}) "
            f"{'is' if result['noise'] == 1 else 'are'} noise."
        ]
        if result["clusters"]:
            sentences.append(
                f"Five images of each cluster are {result['inspection_share']:.0%} of all images, "
                f"of each of {result['families']} families "
                f"{result['family_inspection_share']:.0%}."
            )
        return sentences
    inside, common = result["situation_images"], result["as_common_images"]
    parts = [
        f"{count_of(result['situations'], 'situation')} that "
        f"{'fails' if result['situations'] == 1 else 'fail'} more often than the rest "
        f"({_whole(inside / images)} of the failures)"
    ]
    if result["too_few"]:
        parts.append(
            f"{count_of(result['too_few'], 'cluster')} of too few images to tell "
            f"({count_of(result['too_few_images'], 'failure')})"
        )
    if result["as_common"]:
        parts.append(
            f"{count_of(result['as_common'], 'cluster')} as common among passing images "
            f"({count_of(common, 'failure')})"
        )
    if result["one_subject"]:
        images_of = count_of(result["one_subject_images"], "image")
        parts.append(f"{images_of} of one subject each ({result['one_subject']})")
    parts.append(f"{count_of(result['noise'], 'image')} without a common look")
    total = images + result["passing"]
    # Of a sample, some may have turned out to be copies of failing images.
    about = "about " if result["passing_sample"] < result["passing"] else ""
    return [
        f"{', '.join(parts)}.",
        f"The DNN fails on {images:,} of {about}{total:,} images "
        f"({100 * result['failure_rate']:.1f} %); "
        f"five images of each cluster are {_whole(result['inspection_share'])} of the failures.",
    ]


def _whole(share: float) -> str:
    return f"{100 * share:.0f} %"
