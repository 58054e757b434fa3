"""Checks of what the contract of a method promises, for methods from anywhere.

In goes the name of a method with options; pytest runs `MethodChecks` on tiny models and a toy
benchmark, both made on the fly. Needs pytest and `sweep`: what is checked is a method in a study.
"""

import pytest

# Before the module is imported: a failed assertion then shows the values that differ.
pytest.register_assert_rewrite("methods.testing.checks")

from methods.testing.checks import MethodChecks  # noqa: E402
from methods.testing.tiny_models import tiny_models  # noqa: E402
from methods.testing.toy import toy_study  # noqa: E402
from methods.testing.workbench import Workbench  # noqa: E402

__all__ = ["MethodChecks", "Workbench", "tiny_models", "toy_study"]
