"""The one door of the SAFE tool: `python SAFE_Tool.py --help` says what it can do."""

from app.cli.main import app

if __name__ == "__main__":
    app()
