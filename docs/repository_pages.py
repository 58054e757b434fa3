"""Makes pages of the site from what the repository says elsewhere (a hook of mkdocs).

Texts such as README.md are shown as they are, with links that lead to pages. The reference is
written from `__all__` of the three packages, so it follows when a module moves.
"""

import importlib
import posixpath
import re
from pathlib import Path
from types import ModuleType

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
TEXTS = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "methods/README.md": "methods.md",
    "analysis/README.md": "made_world.md",
}
"""Pages, by the file that they show."""
PACKAGES = ("sweep", "methods", "analysis")
WHOLE_MODULES = {"methods": ("methods.data",), "analysis": ("analysis.figures",)}
"""Modules that those who extend a package import from, beside what the package exports."""
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]+)?\)")
"""A link to another file of the repository: its text, path and section."""
PICTURE = re.compile(r"(!\[[^\]]*\])\(docs/")
"""A picture, up to where it lies in the folder of the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for source, page in TEXTS.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=with_links_of_the_site(text, source)))
    for package in PACKAGES:
        files.append(File.generated(config, f"api/{package}.md", content=reference(package)))
    return files


def with_links_of_the_site(text: str, source: str) -> str:
    """Return a text whose links lead to pages, and are plain text where there is no page."""

    def link(found: re.Match[str]) -> str:
        name, path, section = found.groups(default="")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        page = TEXTS.get(target, target.removeprefix("docs/"))
        is_page = target in TEXTS or (target.startswith("docs/") and target.endswith(".md"))
        return f"[{name}]({page}{section})" if is_page else name

    return LINK.sub(link, PICTURE.sub(r"\1(", text))


def reference(package: str) -> str:
    """Return the page of a package: its public names, by the room they live in."""
    module = importlib.import_module(package)
    rooms: dict[str, list[str]] = {}
    for name in module.__all__:
        home = home_of(module, name)
        room = home.split(".")[1] if home.count(".") > 1 else package
        rooms.setdefault(room, []).append(home)
    lines = [f"# {package}", *directive(package, "members: false", "show_root_heading: false")]
    for room in sorted(rooms, key=lambda room: (room != package, room)):
        lines += [f"## {room}", ""] if room != package else []
        for home in rooms[room]:
            lines += directive(home, "heading_level: 3")
    for whole in WHOLE_MODULES.get(package, ()):
        lines += [f"## {whole}", "", *directive(whole, "show_root_heading: false")]
    return "\n".join(lines)


def home_of(module: ModuleType, name: str) -> str:
    """Return the path under which a public name is defined; constants do not know theirs."""
    thing = getattr(module, name)
    if getattr(thing, "__name__", None) == name:
        return f"{thing.__module__}.{name}"
    return f"{module.__name__}.{name}"


def directive(path: str, *options: str) -> list[str]:
    """Return the lines that mkdocstrings replaces by the documentation of an object."""
    return [f"::: {path}", "    options:", *(f"      {option}" for option in options), ""]
