"""The page: a Gradio app made of the tabs, and its server."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import gradio as gr

from app.page import wiring
from app.page.context import Page
from app.page.faults import guard_events
from app.page.tabs import clusters, confusion, coverage, heatmaps, retraining, unsafe_set
from app.server import access, panes
from app.server.access import Access
from app.server.jobs import Jobs
from app.server.routes import ServedRuns
from app.signals import end_signals
from pipelines.runs.errors import InputError

ASSETS = Path(__file__).resolve().parents[2] / "assets"
TITLE = "SAFE tool"


def build(page: Page) -> gr.Blocks:
    """Build the page."""
    blocks: gr.Blocks
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        with gr.Row(elem_id="head"):
            gr.HTML(
                "<h1>SAFE tool</h1><p>Which situations make a vision DNN fail?</p>", elem_id="title"
            )
            opened = gr.Dropdown(
                label="Open a run",
                choices=[],
                value=None,
                allow_custom_value=True,
                elem_id="open-run",
            )
        parts = wiring.create(page, opened)
        with gr.Tabs():
            with gr.Tab("Clusters"):
                clusters.create_tab(page, blocks, parts)
            with gr.Tab("Unsafe set") as tab:
                unsafe_set.create_tab(page, parts, tab)
            with gr.Tab("Retraining") as tab:
                retraining.create_tab(page, parts, tab)
            with gr.Tab("Heatmaps") as tab:
                heatmaps.create_tab(page, parts, tab)
            with gr.Tab("Coverage") as tab:
                coverage.create_tab(page, parts, tab)
            with gr.Tab("Confusion and bias") as tab:
                confusion.create_tab(page, parts, tab)
    guard_events(blocks)
    return blocks


def launch(granted: Access, port: int | None, runs: Path, browser: bool) -> None:
    """Serve the page until Ctrl-C or a signal ends it, which also stops the running job.

    Parameters
    ----------
    granted : Access
        Who may access the page, and which folders it may use.
    port : int, optional
        None for the first free port from 7860.
    runs : Path
        Folder for the runs of the page; created when the first job starts.
    browser : bool
        Whether to open the user's browser.

    Raises
    ------
    InputError
        When the server cannot listen on the address.
    """
    _check_address(granted.host, port)
    runs = runs.resolve()
    if granted.roots:
        granted = replace(granted, roots=(*granted.roots, runs))
    page = Page(granted, Jobs(granted.roots), ServedRuns(granted), runs)
    for sign in end_signals():
        signal.signal(sign, signal.default_int_handler)
    blocks = build(page)
    try:
        blocks.queue(default_concurrency_limit=None).launch(
            server_name=granted.host,
            server_port=port,
            auth=(granted.user, granted.password) if granted.user else None,
            theme=theme(),
            css_paths=[ASSETS / "style.css"],
            favicon_path=ASSETS / "icon.png",
            inbrowser=browser,
            app_kwargs={
                "routes": [*page.served.routes(), *panes.routes()],
                "middleware": access.middleware(granted),
            },
            footer_links=[],
            run_history=False,
            share=False,
            ssr_mode=False,
            enable_monitoring=False,
            quiet=True,
            prevent_thread_lock=True,
        )
        print(f"The page is at {blocks.local_url}  (Ctrl-C ends it)", flush=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        page.jobs.close()
        blocks.close(verbose=False)


def _check_address(host: str, port: int | None) -> None:
    try:
        socket.create_server((host, port or 0)).close()
    except OSError as error:
        where = f"--host {host}" if port is None else f"--host {host} --port {port}"
        raise InputError(f"{where}: cannot listen there: {error.strerror or error}.") from error
    # Gradio checks whether the page answers; this check must not go through a proxy.
    known = [name for name in ("no_proxy", "NO_PROXY") if os.environ.get(name)]
    exempt = [os.environ[name] for name in known] + [access.LOOPBACK, "localhost", host]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(exempt)


def theme() -> gr.themes.Base:
    """Return Gradio's own theme with fonts that every machine has."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(body_text_color_subdued="*neutral_500", block_info_text_color="*neutral_500")


def has_screen() -> bool:
    """Tell whether this process can show the user a browser window."""
    return sys.platform == "darwin" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
