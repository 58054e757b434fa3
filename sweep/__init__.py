"""Sweep task orders: study files, plans, and the engine that runs them on Ray.

from sweep import Study, run
run(Study.load("quickstart"))
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.engine.driver import run
    from sweep.errors import InputError
    from sweep.measuring.measure import make_plan
    from sweep.plan.plan import Plan
    from sweep.preview.preview import preview
    from sweep.single import run_single
    from sweep.study.schema import Study

_HOMES = {
    "InputError": "sweep.errors",
    "Plan": "sweep.plan.plan",
    "Study": "sweep.study.schema",
    "make_plan": "sweep.measuring.measure",
    "preview": "sweep.preview.preview",
    "run": "sweep.engine.driver",
    "run_single": "sweep.single",
}
"""The module of every public name."""


def __getattr__(name: str) -> Any:
    """Imports on first use: reading a study must not wait for Ray."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sweep' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


__all__ = ["InputError", "Plan", "Study", "make_plan", "preview", "run", "run_single"]
