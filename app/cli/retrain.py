"""The command that retrains the DNN under analysis, and measures what that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cli.options import job, print_rest, take_evaluation, take_options, take_start
from app.commands.retrain import RetrainOptions
from app.commands.signature import takes
from pipelines.runs.wording import count_of

if TYPE_CHECKING:
    from pipelines.retraining.results import Retraining

NOT_REPAIRED = 5


@takes(RetrainOptions)
def retrain(options: RetrainOptions) -> None:
    """Retrain the DNN with its training set and the labelled unsafe set; measure what changed.

    Ctrl-C ends training and keeps the best epoch so far; a second Ctrl-C ends the job.
    """
    import threading

    from pipelines.retraining.job import retrain as retrain_model
    from pipelines.retraining.results import MODEL_FILE, read_retraining
    from pipelines.retraining.training import Options

    stopped = threading.Event()
    out = options.out
    with job(
        "Finished epochs and repeats are kept: the same command with --overwrite continues there.",
        first=stopped.set,
    ) as progress:
        manifest = retrain_model(
            options.model,
            options.training,
            options.unsafe,
            options.test,
            out,
            take_evaluation(options),
            take_options(Options, options),
            validation=options.validation,
            repeats=options.repeats if options.compare else 0,
            **take_start(options, progress),
            stop=stopped.is_set,
        )
        results = read_retraining(out)
    _print_retraining(results)
    print_rest(manifest, out)
    print(f"The retrained model is {out / MODEL_FILE}; look at {out / 'report.html'}.")


def _print_retraining(results: Retraining) -> None:
    from pipelines.retraining.picture import name_cluster
    from pipelines.retraining.report import describe_comparison, summarise_change

    print(summarise_change(results.change).replace("\N{NO-BREAK SPACE}", " "))
    if results.repairs:
        states = [repair.state for repair in results.repairs if repair.cluster >= 0]
        print(
            f"{count_of(len(states), 'root cause cluster')}: {states.count('repaired')} repaired, "
            f"{states.count('not repaired')} not repaired; the others are unclear."
        )
    left = [
        repair
        for repair in results.repairs
        if repair.state == "not repaired" and repair.cluster >= 0
    ]
    for repair in left[:NOT_REPAIRED]:
        print(
            f"Not repaired: {name_cluster(repair)}, {repair.after.right} of {repair.failing} "
            "right now."
        )
    if results.comparison:
        print(describe_comparison(results.comparison))
