"""The setup of a run: everything that its result depends on."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence

from pipelines.clusters.report.summary import describe_run
from pipelines.clusters.results import Results
from pipelines.runs.manifest import MANIFEST_FILE
from pipelines.runs.wording import NOT_GIVEN, Facts, write_ranges


def describe_setup(results: Results) -> tuple[tuple[str, Facts], ...]:
    """Return everything that is needed to repeat the run, by heading."""
    manifest, explanation = results.manifest, results.explanation
    command = (
        f"python SAFE_Tool.py {shlex.join(manifest.command)}"
        if manifest.command
        else "not recorded: the job was not started from the command line"
    )
    seed = _shown(manifest.parameters.get("seed"))
    setup: list[tuple[str, Facts]] = [
        ("Run", (("Command", command), ("Seed", seed), *describe_run(results))),
        ("Parameters of the job", _facts(manifest.parameters)),
        ("Weights", _facts(manifest.weights)),
        ("Chosen by the job", _facts(manifest.chosen)),
    ]
    if explanation:
        explained = {
            "parameter files": "\n".join(explanation.parameter_files),
            "angles": explanation.angles,
            "unsafe values": explanation.unsafe_values_file,
            "images with parameters": explanation.images_with_parameters,
            "parameters": [f"{column.name} ({column.kind})" for column in explanation.parameters],
            "seed": explanation.seed,
        }
        setup.append(("Explanation", _facts(explained)))
    setup.append(("Versions", _facts(manifest.versions)))
    return tuple((title, facts) for title, facts in setup if facts)


def _facts(values: Mapping[str, object]) -> Facts:
    facts = []
    for name, value in values.items():
        label = name.replace("_", " ")
        if name == "candidates" and isinstance(value, list):
            facts.append((label, f"{len(value):,} tried; {MANIFEST_FILE} lists them"))
        elif name == "settings" and (settings := _by_cluster(value)) is not None:
            facts += _settings(settings)
        else:
            facts.append((label, _shown(value)))
    return tuple(facts)


def _by_cluster(value: object) -> list[tuple[int, str]] | None:
    """Return clusters and their settings in words; None if they are not listed by cluster."""
    if not isinstance(value, list):
        return None
    settings = []
    for setting in value:
        cluster = setting.get("cluster") if isinstance(setting, dict) else None
        if not isinstance(cluster, int):
            return None
        rest = [(name, figure) for name, figure in setting.items() if name != "cluster"]
        words = ", ".join(f"{name.replace('_', ' ')} {_shown(figure)}" for name, figure in rest)
        settings.append((cluster, words))
    return settings


def _settings(settings: Sequence[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    """Join clusters with the same settings."""
    alike: dict[str, list[int]] = {}
    for cluster, words in settings:
        alike.setdefault(words, []).append(cluster)
    for words, clusters in alike.items():
        yield f"cluster{'s' if len(clusters) > 1 else ''} {write_ranges(clusters)}", words


def _shown(value: object) -> str:
    if value is None or value in ("", [], ()):
        return NOT_GIVEN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
