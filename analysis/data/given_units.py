"""Scores in percent become fractions, and zeros that stand for "not measured" become NaN.

Inside, a score is a fraction. Both conversions follow rules that are stated here, and whatever they
cannot decide is refused: a wrong unit is wrong by a factor of 100, and a zero that nobody measured
is a transfer of zero.
"""

from collections.abc import Sequence

import numpy as np

UNITS = ("auto", "fraction", "percent")
"""What the unit of given scores can be; "auto": read from the values."""
ROUNDING = 1e-6
"""How far above 1 (or 100 %) a score may be by rounding, as 32-bit means are."""


def in_fractions(
    names: Sequence[str], matrices: Sequence[np.ndarray], unit: str = "auto"
) -> tuple[list[np.ndarray], str]:
    """Returns the matrices of one method as fractions, and the unit they were given in.

    The rule of "auto": the best score of every stage is at most 1 (fractions), or above 1
    everywhere (percent). Single scores cannot tell, since 0.9 can be 0.9 %; but a percent stage
    that knows no task better than 1 % does not occur unless training collapsed. Stages without a
    score above 0 say nothing.

    Args:
        names: of the runs, for errors.
        matrices: one [T + 1, T] per run, NaN where not measured.
        unit: one of UNITS.

    Raises:
        ValueError: scores are out of range, or some stages look like fractions, some like percent.
    """
    if unit not in UNITS:
        raise ValueError(f"Unknown unit '{unit}'; allowed: {', '.join(UNITS)}.")
    largest = [np.where(np.isnan(R), -np.inf, R).max(axis=1) for R in matrices]
    found = _unit(names, largest) if unit == "auto" else unit
    top = 100 if found == "percent" else 1
    for name, R in zip(names, matrices, strict=True):
        outside = R[(R < 0) | (top * (1 + ROUNDING) < R) | np.isinf(R)]
        if outside.size:
            hint = "; give unit='percent' if that is what they are" if unit == "fraction" else ""
            raise ValueError(
                f"Accuracies of {name} must be from 0 to {top} ({found}), but one is "
                f"{outside[0]:g}{hint}."
            )
    return [np.minimum(R / top, 1) for R in matrices], found


def _unit(names: Sequence[str], largest: Sequence[np.ndarray]) -> str:
    """Returns the unit that the largest scores of all stages agree about."""
    limit = 1 + ROUNDING
    stages = [
        (value, f"stage {stage} of {name}")
        for name, values in zip(names, largest, strict=True)
        for stage, value in enumerate(values)
        if value > 0
    ]
    fractions = [(value, stage) for value, stage in stages if value <= limit]
    others = [(value, stage) for value, stage in stages if value > limit]
    if fractions and others:
        raise ValueError(
            f"Some scores look like fractions (at most {fractions[0][0]:g} at "
            f"{fractions[0][1]}) and some like percent (up to {others[0][0]:g} at {others[0][1]}); "
            f"give all in one unit, or say which one it is with unit='percent' or unit='fraction'."
        )
    return "percent" if others else "fraction"


def without_filler(R: np.ndarray) -> np.ndarray:
    """Returns a matrix with NaN for the zeros that tools put where they measured nothing.

    FACIL, PyCIL, PILOT and many scripts fill a table of zeros, task by task. A matrix is of that
    kind if every score on a task not learnt yet, after stage 1, is exactly 0. Then these zeros, an
    untouched backbone of zeros, and rows of zeros at the end (stages still to come) are not
    measured. Zeros on tasks learnt before are scores: a task can be forgotten altogether.

    Args:
        R: [T + 1, T], row 0 = the untouched backbone.
    """
    T = R.shape[1]
    unseen = np.vstack([np.zeros(T, bool), np.triu(np.ones((T, T), bool), 1)])
    given = R[unseen & ~np.isnan(R)]
    if given.size == 0 or given.any():
        return R
    filled = np.where(unseen, np.nan, R)
    done = np.flatnonzero((filled[1:] > 0).any(axis=1))
    filled[(done[-1] + 2 if len(done) else 1) :] = np.nan
    if not (filled[0] > 0).any():
        filled[0] = np.nan
    return filled


def looks_transposed(R: np.ndarray) -> bool:
    """Returns whether rows seem to be tasks: zeros or nothing below the diagonal, scores above it.

    Read as it stands, such a matrix would say that every task is forgotten altogether at once and
    known before it is learnt. With two tasks that is one cell, and proves nothing.
    """
    square = np.nan_to_num(R[-R.shape[1] :])
    below = np.tril(np.ones(square.shape, bool), -1)
    return len(square) > 2 and not square[below].any() and bool(square[below.T].any())
