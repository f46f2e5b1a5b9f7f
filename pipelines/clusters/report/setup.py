"""How to repeat a run, in words: everything that decided its result."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.clusters.report.summary import describe_run
from pipelines.clusters.results import Results
from pipelines.runs.manifest import MANIFEST_FILE
from pipelines.runs.wording import NOT_GIVEN, Facts, write_ranges


def describe_setup(results: Results) -> tuple[tuple[str, Facts], ...]:
    """Return all that it takes to repeat the run, by heading."""
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
            "parameters": [f"{each.name} ({each.kind})" for each in explanation.parameters],
            "seed": explanation.seed,
        }
        setup.append(("Explanation", _facts(explained)))
    setup.append(("Versions", _facts(manifest.versions)))
    return tuple((title, facts) for title, facts in setup if facts)


def _facts(values: Mapping[str, Any]) -> Facts:
    facts = []
    for name, value in values.items():
        label = name.replace("_", " ")
        if name == "candidates" and isinstance(value, list):
            facts.append((label, f"{len(value):,} tried; {MANIFEST_FILE} lists them"))
        elif name == "settings" and _by_cluster(value):
            facts += _settings(value)
        else:
            facts.append((label, _shown(value)))
    return tuple(facts)


def _by_cluster(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and isinstance(each.get("cluster"), int) for each in value
    )


def _settings(settings: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Put clusters with the same settings together."""
    alike: dict[str, list[int]] = {}
    for setting in settings:
        rest = [(name.replace("_", " "), value) for name, value in setting.items()]
        words = ", ".join(f"{name} {_shown(value)}" for name, value in rest if name != "cluster")
        alike.setdefault(words, []).append(setting["cluster"])
    for words, clusters in alike.items():
        yield f"cluster{'s' if len(clusters) > 1 else ''} {write_ranges(clusters)}", words


def _shown(value: object) -> str:
    if value is None or value in ("", [], ()):
        return NOT_GIVEN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(each) for each in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
