"""Whether the example's situations are found: `python -m benchmarks.situations [--seeds N]`.

For each seed, the example is drawn and its DNN is trained and tested. Then clusters are computed in
contrast with passing images, as on the page. The output is how often the DNN fails in each
condition and in images without any. For each situation that fails more often than the rest, it is
also the condition of most of its images, the share of images with this condition, and the tool's
failure rate with its 95 % interval.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from app.page.example import SAMPLE
from examples.eyes import MODEL, write_example
from examples.sampling import CONDITIONS
from pipelines.clusters.rates import SITUATION
from pipelines.dnn.job import EvaluationOptions, test_model
from pipelines.runs.files import read_csv, read_pairs
from pipelines.safe.job import find_root_cause_clusters
from pipelines.safe.recipe import Options

ORDINARY = "ordinary"


def conditions_of(table: Path) -> dict[str, str]:
    """Return the condition of each image, the first if there are several; or that there is none."""
    return {
        row["path"]: next(
            (
                condition.situation.name
                for condition in CONDITIONS
                if float(row[condition.situation.parameter]) > 0
            ),
            ORDINARY,
        )
        for row in read_csv(table)
    }


def print_failures(conditions: Mapping[str, str], failing: set[str]) -> None:
    """Print how often the DNN fails in each condition."""
    images, failures = Counter(conditions.values()), Counter(conditions[path] for path in failing)
    for name in (*(condition.situation.name for condition in CONDITIONS), ORDINARY):
        share = failures[name] / images[name]
        print(f"  {name:<20}fails on {failures[name]:>4} of {images[name]:>4}: {share:.0%}")


def print_situations(run: Path, conditions: Mapping[str, str]) -> None:
    """Print the condition of each situation that fails more often than the rest."""
    labels = read_pairs(run / "labels.txt")
    rows = read_csv(run / "clusters.csv")
    for row in rows:
        if row["kind"] == SITUATION:
            inside = Counter(conditions[p] for p, c in labels.items() if c == row["cluster"])
            name, count = inside.most_common(1)[0]
            print(
                f"  situation {row['cluster']}: {row['size']} failing images, "
                f"{count / inside.total():.0%} {name}; fails on {float(row['failure_rate']):.0%} "
                f"({float(row['rate_low']):.0%} to {float(row['rate_high']):.0%}), elsewhere "
                f"{float(row['rate_elsewhere']):.0%}; {row['hint'].split(';')[0]}"
            )
    print("  ", dict(Counter(row["kind"] for row in rows if row["cluster"] != "-1")), flush=True)


def main() -> None:
    """Print the seeds one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    for seed in range(parser.parse_args().seeds):
        with tempfile.TemporaryDirectory() as place:
            example, test_run, run = (Path(place, name) for name in ("eyes", "test", "run"))
            summary = write_example(example, seed=seed)
            images = example / "test"
            test_model(example / MODEL, images, test_run, EvaluationOptions(), progress=_quiet)
            options = Options(test_run=test_run, sample=SAMPLE)
            find_root_cause_clusters(None, run, options, progress=_quiet)
            conditions = conditions_of(images / "parameters.csv")
            failing = {row["path"] for row in read_csv(example / "failures" / "labels.csv")}
            print(f"seed {seed}: right on {summary.test_accuracy:.1%} of {summary.test}")
            print_failures(conditions, failing)
            print_situations(run, conditions)


def _quiet(stage: str, done: int, total: int) -> None:
    """Listen to nothing."""


if __name__ == "__main__":
    main()
