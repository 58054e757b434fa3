"""The site builds without a warning, shows every public name, and loads nothing from elsewhere."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("analysis", "methods", "sweep")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_entry(site: Path, package: str) -> None:
    page = (site / "api" / package / "index.html").read_text("utf-8")
    entries = {path.split(".")[-1] for path in re.findall(r'<h3 id="([\w.]+)"', page)}
    public = set(importlib.import_module(package).__all__)
    assert public <= entries, f"not on the page: {sorted(public - entries)}"


def test_links_between_texts_of_the_repository_lead_to_pages(site: Path) -> None:
    home = (site / "index.html").read_text("utf-8")
    linked = re.findall(r'href="(readme/#[\w-]+)"', home)
    assert linked
    readme = (site / "readme" / "index.html").read_text("utf-8")
    for link in linked:
        assert f'id="{link.split("#")[1]}"' in readme, link


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert pages
    for page in pages:
        loaded = re.findall(
            r'<(?:script|link|img|iframe)[^>]*\s(?:src|href)="(https?:[^"]+)"',
            page.read_text("utf-8"),
        )
        assert not loaded, f"{page.name}: {loaded}"
