"""The public names of the package, for type checkers and for `sweep/__init__.py`."""

from .engine.driver import run
from .errors import InputError
from .exporting.export_stage import export
from .measuring.measure import make_plan
from .plan.plan import Plan
from .preview.data_sets import find_data
from .preview.preview import make_preview
from .preview.study_check import check_study
from .single import run_single
from .study.schema import Study

__all__ = [
    "InputError",
    "Plan",
    "Study",
    "check_study",
    "export",
    "find_data",
    "make_plan",
    "make_preview",
    "run",
    "run_single",
]
