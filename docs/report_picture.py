"""Takes the picture of a report that README opens with: `python docs/report_picture.py RUN`.

RUN is a run folder with its report.html, by default runs/quickstart. Needs Chromium.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTH, HEIGHT = 1280, 900
"""Of the window, in pixels: what a reader sees without scrolling."""
PATIENCE = 10_000
"""Milliseconds of the page's own clock for the figure to be drawn."""
PICTURE = Path(__file__).parent / "first_screen.png"


def take(report: Path, picture: Path) -> None:
    """Writes the first screen of a report as PNG."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        sys.exit("Found no Chromium; install it, for example: apt-get install chromium")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            f"--window-size={WIDTH},{HEIGHT}",
            f"--virtual-time-budget={PATIENCE}",
            f"--screenshot={picture}",
            report.resolve().as_uri(),
        ]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/quickstart")
    if not (folder / "report.html").is_file():
        sys.exit(f"'{folder}' holds no report.html; make it with: sweep run quickstart")
    take(folder / "report.html", PICTURE)
    print(f"Wrote {PICTURE}")
