"""The report of a run: complete, self-contained, and the same for the same run."""

import shutil
import time

import pytest

from pipelines.clusters.clusters import (
    NOISE,
    WORDS,
    list_clusters,
    read_clusters,
    save_words,
)
from pipelines.clusters.explanation import (
    ClusterExplanation,
    Confusion,
    Explanation,
    Family,
    ParameterColumn,
    UnsafeCoverage,
    read_explanation,
    write_explanation,
)
from pipelines.clusters.hints import Hint
from pipelines.clusters.parameter_findings import Finding, format_means
from pipelines.clusters.report.cards import STILLS
from pipelines.clusters.report.report import write_report
from pipelines.data.parameters import Problem
from pipelines.runs import folder as run_folder
from pipelines.runs.errors import InputError
from pipelines.runs.files import replace_cells, write_pairs
from tests.pipelines.clusters.report.reported import (
    HOSTILE,
    LABELS,
    REVERSED_TEXT,
    explanation_of,
    hint,
    report,
    write_run,
)
from tests.planted import USUAL


def test_sections_come_in_order_and_links_lead_somewhere(run):
    page = report(run)
    sections = ["summary", "overview", "clusters", "unsafe-values", "not-used", "reproduce"]
    cards = ["family-0", "cluster-0", "cluster-2", "family-1", "cluster-1", "noise"]
    assert page.ids() == [*sections[:3], *cards, *sections[3:]]
    links = {attributes["href"] for attributes in page.all("a")}
    assert links == {f"#{name}" for name in page.ids()}


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
    fields = ClusterExplanation(
        hints=[Hint("x", 1, 1, 1, 1, text) for text in texts],
        parameters=[Finding(text, "category", 1, 1, 1, 1, text, text) for text in texts],
        confusions=[Confusion(label=texts[0], prediction=texts[1], images=1)],
        unsafe_values=[0],
    ).model_dump()
    explanation = Explanation(
        seed=0,
        parameter_files=list(texts),
        parameters=[ParameterColumn(name=text, kind="category") for text in texts],
        clusters={0: ClusterExplanation(**fields)},
        families=[Family(family=0, clusters=[0, 1, 2], size=15, **fields)],
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
    tags_of_names = [tags for tags, words in page.pieces if REVERSED_TEXT in words]
    assert len(tags_of_names) > 15
    assert all("bdi" in tags or tags[-2:] == ("div", "p") for tags in tags_of_names)


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
    with (
        run_folder.lock_folder(run),
        pytest.raises(InputError, match=r"job is writing into .* Wait"),
    ):
        write_report(run)
    assert "The run was killed" in report(run).words()


def damage_text(run):
    path = run / "explanation.json"
    path.write_text(path.read_text().replace('"seed": 3', '"seed": "many"'))


def damage_clusters(run):
    explanation = read_explanation(run)
    explanation.clusters[9] = ClusterExplanation()
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
    start = time.process_time()
    page = write_report(run)
    assert time.process_time() - start < 5
    assert len(list_clusters(read_clusters(run))) == 151
    assert page.read_text().count("<img ") == 151 * STILLS


def test_a_run_with_passing_images_says_whom_parameters_are_compared_with(
    planted, planted_beside_passing, tmp_path
):
    run = shutil.copytree(planted_beside_passing, tmp_path / "run")
    words = report(run).words()
    explanation = read_explanation(run)
    for cluster, entry in explanation.clusters.items():
        yaw = [finding for finding in entry.parameters if finding.parameter == "yaw"]
        assert len(yaw) == (cluster != USUAL)
        for finding in yaw:
            assert finding.words in words
            if entry.parameters[0] == finding:
                assert f"yaw {format_means(finding)}" in words
    firsts = [entry.parameters[0] for entry in explanation.clusters.values() if entry.parameters]
    assert "passing images" in {finding.reference for finding in firsts}
    assert explanation.notes[0] in words
    assert "Parameter against passing images For a number: how much smaller the spread" in words
    assert "much higher or lower in the cluster than in passing images" in words
    alone = report(shutil.copytree(planted, tmp_path / "alone")).words()
    assert "much higher or lower in the cluster than in all others" in alone
    assert "passing images" not in alone
