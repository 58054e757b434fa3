"""Properties of the untouched backbone as a method."""

from pathlib import Path

from tests.methods.conformance import check_stays_untouched, study_of


def test_all_stages_are_stage_0(models: Path) -> None:
    check_stays_untouched(study_of(models, "clip"), "zero_shot")
