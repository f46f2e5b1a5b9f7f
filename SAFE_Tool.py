"""The entry point of the SAFE tool: `python SAFE_Tool.py --help` lists what it can do."""

from app.cli.main import app

if __name__ == "__main__":
    app()
