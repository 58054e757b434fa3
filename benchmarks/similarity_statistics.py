"""Statistics of similarity and predictors, of scores that have to do with results and others."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.inference.intervals import LEVEL
from analysis.mechanisms.transitions import RESPONSES, SCORES, WAYS, transition_models
from analysis.orders.predictors import dose_response, ends, regret
from analysis.orders.similarity_effects import effects, mantel, mrqap
from benchmarks.simulated_studies import MEASURED, Row, Studies, held_share

ALPHA = 1 - LEVEL


def similarity_slopes(studies: Studies) -> Iterator[Row]:
    """Slopes of average accuracy by the similarity of neighbours, of which it is made and not."""
    T, rng = studies.tasks, studies.rng
    S, made_up = _symmetric(rng, T), _symmetric(rng, T)
    here = studies.world(own=0.01)
    x, other = (_adjacent(studies.orders, table) for table in (S, made_up))
    cause = 0.02 * (x - x.mean()) / x.std()
    true = replace(here, effects=here.effects + cause)
    drawn = studies.block()
    runs = studies.runs(drawn, true.study(drawn, rng)[:1])
    found = dose_response(runs, studies.scores(x))
    if found.empty:
        return
    for _, row in found.iterrows():
        truth = _slope(studies, true.effects[0], x)
        held = held_share([row["low"]], np.array([truth]), [row["high"]])
        yield Row("slope by similarity (in 0.02)", (row["slope"] - truth) / 0.02, held)
    runs = studies.runs(drawn, here.study(drawn, rng)[:1])
    known = effects(runs, studies.scores(other), _pairs(studies, made_up))
    if len(known) and np.isfinite(known["p_slope"].iloc[0]):
        row = known.iloc[0]
        yield Row("slope by similarity: p", false=float(row["p_slope"] <= ALPHA))
        yield Row(
            "slope by similarity made up: interval without 0",
            false=float(row["low"] > 0 or row["high"] < 0),
        )


def _symmetric(rng: np.random.Generator, num: int) -> np.ndarray:
    x = rng.standard_normal((num, num))
    return x + x.T


def _adjacent(orders: np.ndarray, S: np.ndarray) -> np.ndarray:
    found: np.ndarray = S[orders[:, :-1], orders[:, 1:]].mean(axis=1)
    return found


def _pairs(studies: Studies, S: np.ndarray) -> pd.DataFrame:
    """Returns the similarities as `task_pairs` does, beside contributions of no interest."""
    tasks = studies.names[0]
    cells = [(a, b) for a in tasks for b in tasks if a != b]
    similarity = [S[tasks.index(a), tasks.index(b)] for a, b in cells]
    known = {"trained": [a for a, _ in cells], "task": [b for _, b in cells], "runs": 1}
    known |= {"similarity": similarity, "contribution": np.arange(float(len(cells)))}
    return pd.DataFrame(MEASURED | {"method": "m0"} | known)


def _slope(studies: Studies, y: np.ndarray, x: np.ndarray) -> float:
    """Returns the slope over all orders per SD of x, first and last task held."""
    frame = pd.DataFrame({"order": studies.names})
    columns = [(x - x.mean()) / x.std(), *ends(frame, list(studies.names[0])).T, np.ones(len(x))]
    return float(np.linalg.lstsq(np.column_stack(columns), y)[0][0])


def matrix_tests(studies: Studies) -> Iterator[Row]:
    """Mantel and MRQAP, of matrices whose rows and columns have levels of their own."""
    T, rng = studies.tasks, studies.rng

    def table() -> np.ndarray:
        found: np.ndarray = rng.standard_normal((T, T)) + rng.standard_normal((T, 1))
        return found + rng.standard_normal((1, T))

    yield Row(f"Mantel, {T} tasks", false=float(mantel(table(), table(), 199)[1] <= ALPHA))
    cause = table()
    found = mrqap(cause + 0.5 * table(), {"cause": cause, "copy": cause + table()}, 199)
    bias = found.loc["cause", "coefficient"] - 1
    yield Row(f"MRQAP, {T} tasks", float(bias), false=float(found.loc["copy", "p"] <= ALPHA))


def proposals(studies: Studies) -> Iterator[Row]:
    """What orders are worth that three similarities propose which have nothing to do with them."""
    here, rng = studies.world(own=0.02), studies.rng
    drawn = studies.block()
    runs = studies.runs(drawn, here.study(drawn, rng)[:1])
    tables = [_adjacent(studies.orders, _symmetric(rng, studies.tasks)) for _ in range(3)]
    scores = [
        studies.scores(x, "path_cost").assign(measure=f"made up {i}") for i, x in enumerate(tables)
    ]
    found = regret(runs, pd.concat(scores))
    row, y = found.iloc[0], here.effects[0]
    chosen = np.abs(tables[0] - tables[0].min()) < 1e-9
    gain, lost = y[chosen].mean() - y.mean(), y.max() - y[chosen].mean()
    held = held_share([row["low"]], np.array([gain]), [row["high"]])
    yield Row("proposed order: gain", row["gain"] - gain, held, float(row["p"] <= ALPHA))
    yield Row("proposed order: regret", row["regret"] - lost)
    yield Row("proposed order: p of all", false=float((found["p_all"] <= ALPHA).any()))


def transition_tests(studies: Studies) -> Iterator[Row]:
    """The regression of transitions on scores that have nothing to do with them, and on others."""
    T, rng = studies.tasks, studies.rng
    pairs, IT, TI = (rng.standard_normal((T, T)) for _ in range(3))
    drawn = studies.block()
    prefixes = [
        sorted({studies.names[i][:k] for i in block for k in range(2, T + 1)}) for block in drawn
    ]
    found = pd.DataFrame(
        [(r, prefix) for r, part in enumerate(prefixes) for prefix in part],
        columns=["replicate", "prefix"],
    ).assign(backbone="b", method="m0", complete=True)
    tasks = studies.names[0]
    s, t = (np.array([tasks.index(prefix[k]) for prefix in found["prefix"]]) for k in (-2, -1))
    found = found.assign(before=[tasks[i] for i in s], new=[tasks[i] for i in t])
    found = found.assign(**{f"{score}_{way}": table[s, t] for score in SCORES
                            for way, table in zip(WAYS, (IT, TI), strict=True)})  # fmt: skip
    shift = 0.3 * studies.noise(studies.replicates)[found["replicate"]]
    nothing = pairs[s, t] + shift + studies.noise(len(found))
    responses = dict.fromkeys(RESPONSES, np.nan) | {"accuracy_before": nothing}
    fitted = transition_models(found.assign(**responses)).set_index("scores").loc["frozen"]
    yield Row("transitions: p", false=float(fitted["p"] <= ALPHA))
    yield Row(
        "transitions by scores made up: R2 outside above 0",
        false=float(fitted["r2_out"] > 0),
    )
    own = 0.5 + 0.2 * studies.noise(studies.replicates)[found["replicate"]]
    caused = own * IT[s, t] + shift + studies.noise(len(found))
    fitted = transition_models(found.assign(**responses | {"accuracy_before": caused}))
    row = fitted.set_index("scores").loc["frozen"]
    held = held_share([row["image_text_low"]], np.array([0.5]), [row["image_text_high"]])
    yield Row("transitions: coefficient (in 0.5)", (row["image_text"] - 0.5) / 0.5, held)
