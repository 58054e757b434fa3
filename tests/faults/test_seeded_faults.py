"""The default suite notices mistakes as they are made, in the engine and in methods."""

from pathlib import Path

import pytest

from tests.faults import of_losses, of_the_engine, of_weights
from tests.faults.base import Fault

pytestmark = pytest.mark.slow

FAULTS = (
    *(*of_the_engine.TRAINING, *of_the_engine.SCORES, *of_the_engine.WORKERS),
    *(*of_losses.REPLAY, *of_losses.DISTILLATION, *of_losses.REGULARISATION),
    *(*of_weights.PROMPTS, *of_weights.ADAPTERS, *of_weights.MERGING, *of_weights.OTHERS),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_check_of_the_default_suite_fails(fault: Fault, models: Path) -> None:
    """It passes without the fault. With it it says what is wrong; an error would say nothing."""
    fault.check(models)
    with pytest.MonkeyPatch.context() as patch:
        fault.put(patch)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            fault.check(models)


def test_faults_have_names_of_their_own() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
