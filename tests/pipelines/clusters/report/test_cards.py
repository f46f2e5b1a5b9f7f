"""Cards of clusters and families, and their pictures."""

import base64

import pytest

from pipelines.clusters.clusters import (
    NOISE,
    list_members,
    read_clusters,
    save_words,
)
from pipelines.clusters.explanation import (
    Family,
    write_explanation,
)
from pipelines.clusters.report.cards import MOST_CONFUSIONS, STILLS
from pipelines.data.thumbnails import thumbnail_name
from pipelines.runs.files import read_csv, write_csv
from tests.pipelines.clusters.report.reported import (
    explanation_of,
    finding,
    hint,
    rain,
    report,
)


def test_the_overview_has_a_row_a_cluster_by_family(run):
    words = report(run).part("Overview Family Cluster", "Clusters Pictures")
    assert (
        "0 0 Head turned right 8 47.1 % darker than the rest: mean brightness 0.00 against 0.42 "
        "head_yaw \u221296 % plausible cause S2 E3 2 3 17.6 % no verdict yet"
    ) in words
    assert (
        "1 1 4 23.5 % darker than the rest: mean brightness 0.10 against 0.42 weather rain: "
        in words
    )
    assert words.endswith("Noise 2 11.8 %")


def test_every_word_on_a_cluster_is_in_its_card(run):
    page = report(run)
    card = page.part("Cluster 0 Head turned right", "Cluster 2")
    for text in (
        "plausible cause",
        "Images 8 Share 47.1 % Core images 4 Silhouette \u22120.03 Severity S2 Likelihood E3",
        hint(0).words,
        hint(0, 1).words,
        finding(0).words,
        rain().words,
        "5 left \u2192 right",
        "head_yaw near 220",
        "Note first line second line third",
    ):
        assert text in card
    assert "\nfirst line\n  second line\n\nthird" in page.text
    empty = page.part("Cluster 2", "Family 1")
    assert "no verdict yet" in empty
    assert "Severity not given Likelihood not given" in empty
    assert "No measured property sets its pictures apart beyond chance." in empty
    noise = page.part("Noise drive", "Unsafe values")
    assert "Images 2 Share 11.8 %" in noise
    assert "no verdict yet" not in noise


def test_a_family_of_several_clusters_says_what_they_share(run):
    page = report(run)
    family = page.part("Family 0: darker than the rest 2 clusters, 11 images (64.7 %)", "Cluster 0")
    assert hint(7).words in family
    assert finding(7).words in family
    assert "10 label 0 \u2192 none" in family
    rest = [10 - place for place in range(MOST_CONFUSIONS + 2)][MOST_CONFUSIONS:]
    assert f"and {len(rest)} more pairs ({sum(rest)} images)" in family
    # Of a single cluster, its card says it all.
    alone = page.part("Family 1: darker than the rest 1 cluster, 4 images (23.5 %)", "drive")
    assert hint(1).words not in alone


@pytest.mark.parametrize(
    ("words", "findings", "expected"),
    [
        ({"name": "Dim light"}, {"hints": [hint(1)]}, "Family 1: Dim light 1 cluster"),
        ({}, {"parameters": [rain()]}, "Family 1: alike in weather rain 1 cluster"),
        ({}, {"parameters": [finding(0)]}, "Family 1: alike in head_yaw 1 cluster"),
        ({}, {}, "Family 1 1 cluster"),
    ],
)
def test_a_family_is_called_by_what_is_known(run, words, findings, expected):
    explanation = explanation_of()
    explanation.families[1] = Family(family=1, clusters=[1], size=4, **findings)
    write_explanation(run, explanation)
    save_words(run, 1, words)
    assert expected in report(run).words()


def test_pictures_are_the_most_central_ones_and_are_inside_the_file(run):
    page = report(run)
    clusters = read_clusters(run)
    places = [
        place for cluster in (0, 2, 1, NOISE) for place in list_members(clusters, cluster)[:STILLS]
    ]
    images = page.all("img")
    assert [image["alt"] for image in images] == [clusters.paths[place] for place in places]
    for image, place in zip(images, places, strict=True):
        kind, content = image["src"].split(",", 1)
        assert kind == "data:image/jpeg;base64"
        thumbnail = run / "thumbnails" / thumbnail_name(clusters.digests[place])
        assert base64.b64decode(content) == thumbnail.read_bytes()
    assert len({image["src"] for image in images}) == len(images)


def test_images_with_equal_bytes_share_one_picture(run):
    rows = read_csv(run / "images.csv")
    twins = [row for row in rows if row["cluster"] == "1"][:3]
    for row in twins:
        row["sha256"] = twins[0]["sha256"]
    write_csv(run / "images.csv", list(rows[0]), [list(row.values()) for row in rows])
    page = report(run)
    card = page.part("Cluster 1", "Noise")
    assert card.count("drive") == 2
    # The most central one stands for all.
    assert f"{twins[-1]['path']} and 2 more with the same bytes" in card


def test_a_missing_thumbnail_leaves_a_box_with_the_path(run, tmp_path):
    clusters = read_clusters(run)
    first, second, third = list_members(clusters, 0)[:3]
    names = [thumbnail_name(clusters.digests[place]) for place in (first, second, third)]
    (run / "thumbnails" / names[0]).unlink()
    (run / "thumbnails" / names[1]).write_text("<svg/>")
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"\xff\xd8\xffsecret")
    (run / "thumbnails" / names[2]).unlink()
    (run / "thumbnails" / names[2]).symlink_to(secret)
    page = report(run)
    boxes = [box for box in page.all("div") if box.get("role") == "img"]
    assert [box["aria-label"] for box in boxes] == [
        f"{clusters.paths[place]}: no thumbnail" for place in (first, second, third)
    ]
    part = page.part("Cluster 0", "Cluster 2")
    for place in (first, second, third):
        assert f"no thumbnail {clusters.paths[place]}" in part
    assert base64.b64encode(b"\xff\xd8\xffsecret").decode() not in page.source
