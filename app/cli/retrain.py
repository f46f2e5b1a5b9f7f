"""The command that retrains the DNN under analysis, and measures what that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cli.options import job, print_rest, take_evaluation, take_options, take_start
from app.commands.retrain import RetrainOptions
from app.commands.signature import takes

if TYPE_CHECKING:
    from pipelines.retraining.results import Retraining

NOT_REPAIRED = 5


@takes(RetrainOptions)
def retrain(options: RetrainOptions) -> None:
    """Retrain the DNN with its training set and the labelled unsafe set; measure what changed.

    Ctrl-C ends training with the best epoch so far, a second time the job.
    """
    import threading

    from pipelines.retraining.job import retrain as retrain_model
    from pipelines.retraining.results import MODEL_FILE, read_retraining
    from pipelines.retraining.training import Options

    stopped = threading.Event()
    out = options.out
    with job(
        "Epochs and repeats that are done are kept: the same command with --overwrite goes on.",
        first=stopped.set,
    ) as told:
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
            **take_start(options, told),
            stop=stopped.is_set,
        )
        found = read_retraining(out)
    _print_retraining(found)
    print_rest(manifest, out)
    print(f"The retrained model is {out / MODEL_FILE}; look at {out / 'report.html'}.")


def _print_retraining(found: Retraining) -> None:
    from pipelines.retraining.picture import name_cluster
    from pipelines.retraining.report import describe_comparison, summarise_change

    print(summarise_change(found.change).replace("\N{NO-BREAK SPACE}", " "))
    if found.repairs:
        states = [each.state for each in found.repairs if each.cluster >= 0]
        print(
            f"{len(states)} root cause clusters: {states.count('repaired')} repaired, "
            f"{states.count('not repaired')} not repaired; of the others it is unclear."
        )
    left = [each for each in found.repairs if each.state == "not repaired" and each.cluster >= 0]
    for each in left[:NOT_REPAIRED]:
        print(
            f"Not repaired: {name_cluster(each)}, {each.after.right} of {each.failing} right now."
        )
    if found.comparison:
        print(describe_comparison(found.comparison))
