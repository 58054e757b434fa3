"""Sweep task orders: study files, plans, and the engine that runs them on Ray.

from sweep import Study, run
run(Study.load("quickstart"))
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.alone import run_alone
    from sweep.engine import run
    from sweep.errors import InputError
    from sweep.plan import Plan
    from sweep.preview import preview
    from sweep.study import Study

_HOMES = {
    "InputError": "sweep.errors",
    "Plan": "sweep.plan",
    "Study": "sweep.study",
    "preview": "sweep.preview",
    "run": "sweep.engine",
    "run_alone": "sweep.alone",
}


def __getattr__(name: str) -> Any:
    """Import on first use: reading a study must not wait for Ray."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sweep' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


__all__ = ["InputError", "Plan", "Study", "preview", "run", "run_alone"]
