"""The command line: one command a job, a progress bar while it works, a summary at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli import cluster, coverage, dnn, inspect, retrain, unsafe_set
from app.commands.signature import number_option
from app.exit_codes import ERROR
from app.numbers import PORT

app = typer.Typer(
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="SAFE: safety analysis and retraining of vision DNNs. Without a command: the page.",
)
RUNS = Path("runs")


@app.callback()
def page(
    context: typer.Context,
    port: Annotated[
        int | None, number_option(PORT, help="Port of the page. (default: a free one)")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder for the runs made on the page.")] = RUNS,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on, so that other machines reach the page; needs --auth and "
            "--root. (default: only this machine)"
        ),
    ] = None,
    auth: Annotated[
        str | None,
        typer.Option(
            metavar="USER:PASSWORD-FILE",
            help="Ask for a login; the password is the file's first line.",
        ),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Folder that the page may use; repeat for several. (default: all)"
        ),
    ] = None,
    browser: Annotated[
        bool | None,
        typer.Option(help="Open the page in a browser. (default: if there is a screen)"),
    ] = None,
) -> None:
    """Serve the page; with a command, do one job instead."""
    if context.invoked_subcommand is not None:
        return
    from pipelines.runs.errors import InputError

    try:
        from app.server.access import check_access, clean_environment

        granted = check_access(host, auth, root or [])
        clean_environment()
        from app.page import page

        page.launch(granted, port, runs, page.has_screen() if browser is None else browser)
    except (InputError, OSError) as error:
        print(f"{ERROR}{error}", file=sys.stderr)
        raise typer.Exit(1) from None


for command in (
    cluster.cluster,
    cluster.explain,
    unsafe_set.select,
    dnn.test,
    dnn.heatmaps,
    retrain.retrain,
    coverage.coverage,
    coverage.perturb,
    inspect.inspect,
    unsafe_set.recut,
    unsafe_set.export,
    cluster.report,
    cluster.example,
):
    app.command()(command)
