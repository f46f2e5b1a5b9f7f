"""The browser tool: a Gradio page built out of the tabs, and how it is launched."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported

import gradio as gr

from app import access
from app.access import Access
from app.jobs import Jobs
from app.page import Page
from app.served import ServedRuns
from app.tabs import clusters

ASSETS = Path(__file__).resolve().parents[1] / "assets"
TITLE = "SAFE tool"


def build(page: Page) -> gr.Blocks:
    """Build the page."""
    blocks: gr.Blocks
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(
            "<h1>SAFE tool</h1><p>Which situations make a vision DNN fail?</p>", elem_id="title"
        )
        with gr.Tabs(), gr.Tab("Clusters"):
            clusters.create_tab(page, blocks)
    return blocks


def launch(granted: Access, port: int | None, runs: Path, browser: bool) -> None:
    """Serve the page until Ctrl-C or a signal ends it; a job that runs then is stopped.

    Parameters
    ----------
    granted : Access
        Who may reach the page.
    port : int, optional
        None takes the first free one from 7860.
    runs : Path
        Folder for the runs made on the page; made when the first job starts.
    browser : bool
        Whether to open the user's browser.
    """
    runs = runs.resolve()
    if granted.roots:
        granted = Access(granted.host, granted.user, granted.password, (*granted.roots, runs))
    page = Page(granted, Jobs(), ServedRuns(), runs)
    for sign in (signal.SIGTERM, signal.SIGHUP):
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
            app_kwargs={"routes": page.served.routes(), "middleware": access.middleware(granted)},
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


def theme() -> Any:
    """Return Gradio's own theme with the fonts that every machine has."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(body_text_color_subdued="*neutral_500", block_info_text_color="*neutral_500")


def has_screen() -> bool:
    """Tell whether this process can show the user a browser window."""
    return sys.platform in {"darwin", "win32"} or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
