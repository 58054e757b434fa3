"""Identifies the source code of parts, so that edited code does not pass for what it was."""

import ast
import hashlib
import importlib.util
import json
import sys
import sysconfig
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

DEPENDENCIES = {"torch", "numpy", "scipy", "sklearn", "pandas", "pyarrow", "PIL", "pydantic",
                "transformers", "peft", "accelerate", "diffusers", "datasets", "safetensors",
                "huggingface_hub", "tokenizers", "torchvision", "ray", "sweep"}  # fmt: skip
"""Packages whose code is not looked at: their versions are recorded instead; `sweep` has a version
for what it computes, `sweep.plan.plan.VERSION`."""
INSTALLED = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
"""Folders of installed packages."""
TABLES = {"methods", "sweep", "analysis"}
"""Modules that only say where the names of their package are defined."""


def code_of(part: type) -> dict[str, str]:
    """Returns digests of all modules that a class is made of, by module name.

    These are its own module, those of its bases, and what they import in turn: from the same
    packages, and from any file that is not an installed package. Comments, docstrings and layout do
    not matter.

    >>> from methods.baselines.finetune import FineTune
    >>> sorted(code_of(FineTune))[:2]
    ['methods.backbones.base', 'methods.backbones.prompting']
    """
    return code_from({base.__module__ for base in part.__mro__})


def code_from(modules: Collection[str]) -> dict[str, str]:
    """Returns digests of modules and of what they import, as `code_of` does.

    Args:
        modules: Names of modules; those of dependencies do not count.
    """
    start = {module for module in modules if not _is_foreign(module)}
    own = {_top(module) for module in start}
    found: dict[str, str] = {}
    queue = sorted(start)
    while queue:
        name = queue.pop()
        file = _file(name)
        if name in found or name in TABLES or file is None:
            continue
        digest, imported = _read(file, name, file.stat().st_mtime_ns)
        found[name] = digest
        queue += [module for module in imported if _top(module) in own or _is_loose(module)]
    return dict(sorted(found.items()))


def places_of(modules: Collection[str]) -> list[Path]:
    """Returns the files and folders that another machine needs to import some modules.

    Those of installed packages are not among them: they have to be installed there as well.

    >>> places_of(["methods.baselines.finetune", "torch.nn"])
    []
    """
    places: dict[str, Path] = {}
    for top in {_top(module) for module in modules if _is_loose(module)}:
        spec = importlib.util.find_spec(top)
        if spec is not None:
            folders = list(spec.submodule_search_locations or ())
            places[top] = Path(folders[0] if folders else str(spec.origin))
    return [place for _, place in sorted(places.items())]


def _top(module: str) -> str:
    return module.partition(".")[0]


def _is_foreign(module: str) -> bool:
    return _top(module) in DEPENDENCIES or _top(module) in sys.stdlib_module_names


def _is_loose(module: str) -> bool:
    """Returns whether a module lies outside of all installed packages, such as beside the study."""
    if _is_foreign(module) or _top(module) in TABLES:
        return False
    file = _file(_top(module)) or _file(module)
    return file is not None and not str(file).startswith(INSTALLED)


def _file(module: str) -> Path | None:
    """Returns the file of a module; None for a package without one, and for what is not there."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    file = Path(spec.origin) if spec and spec.origin else None
    return file if file and file.is_file() else None


@lru_cache(maxsize=4096)
def _read(file: Path, module: str, changed: int) -> tuple[str, tuple[str, ...]]:
    """Returns a file's digest and what it imports; `changed` makes an edited file a new one."""
    content = file.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # compiled, or broken and so not imported either
        return hashlib.sha256(content).hexdigest(), ()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    text = json.dumps(_structure(tree))
    return hashlib.sha256(text.encode()).hexdigest(), tuple(_imports(tree, package))


def _structure(node: Any) -> Any:
    """Returns what a syntax tree says, in a form that is the same in all versions of Python."""
    if isinstance(node, ast.AST):
        fields = {
            name: _structure(value)
            for name, value in ast.iter_fields(node)
            if value is not None and value != [] and name not in ("ctx", "kind", "type_comment")
        }
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [_structure(item) for item in node if not _is_docstring(item)]
    return node if isinstance(node, str | int | bool) else repr(node)


def _is_docstring(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yields the names of all modules that a file may import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            yield source
            # What is imported may be a module or a name in one; `_file` knows.
            yield from (f"{source}.{alias.name}" for alias in node.names)
