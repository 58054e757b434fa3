"""The results of a study: the schema every writer follows, and how to read them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from analysis.data.described import described, described_as_html
from analysis.data.locations import open_folder, read_mapping
from analysis.data.part_files import as_frame, read_parts
from analysis.data.score_array import RunKey, ScoreArray

RESULTS_SCHEMA = pa.schema(
    [
        ("study", pa.string()),
        ("backbone", pa.string()),
        ("method", pa.string()),
        ("replicate", pa.int32()),
        ("seed", pa.int64()),
        ("prefix", pa.list_(pa.string())),  # tasks trained so far, in order; [] = stage 0
        ("stage", pa.int32()),  # len(prefix)
        ("trained_task", pa.string()),  # prefix[-1]; null at stage 0
        ("knows_task", pa.bool_()),  # whether the method uses which task test data are of; or null
        ("split", pa.string()),  # one of SPLITS
        ("eval_task", pa.string()),  # null when failed
        ("metric", pa.string()),  # "accuracy", "class_accuracy", "i2t_r1", ...; null when failed
        ("value", pa.float64()),  # a fraction in [0, 1] unless SPLITS says else; NaN when failed
        ("n", pa.int32()),  # test samples behind `value`
        ("is_score", pa.bool_()),  # of task or probe: what metrics are made of; null: if "accuracy"
        ("status", pa.string()),  # "ok" | "failed"
        ("error", pa.string()),  # null when ok
    ]
)
"""One row per (stage, eval_task, metric); a stage is stored once, for all orders through it."""

SPLITS = {
    "task": "a task of the study; metrics by its kind, and sampling_error: the standard error of a "
    "score that was measured on some of its test samples",
    "probe": "a held-out suite of choices or answers, likewise",
    "retrieval": "a held-out suite of image-caption pairs: recall (the mean of both directions at "
    "1) and i2t_r1, ..., t2i_r10",
    "alignment": "a task; metrics: cosine of its images with the texts of their right choices, and "
    "loss, in nats, of the similarities of image and choices",
    # Only where a study asks for them:
    "modality": "a task; metrics name the modalities that it is scored with",
    "mm_shap": "a task; metrics name modalities, values are shares of the fit",
    "tower": "a task; metrics name the towers with trained weights",
    "update": "all tasks; metrics: the share of a tower in the squared norm of the update",
    "cka": "all tasks; metrics: linear CKA of image or text embeddings to stage 0",
    "ood": "a task, in distribution; metrics: tasks that are not, values: AUROC by MCM scores",
    "ood_cumulative": "all tasks (unlearnt) or a probe (probe), against all tasks learnt so far",
    "routing": "a task, or a probe; metrics: tasks learnt, values: their share in the answers to "
    "its samples, of which the untouched backbone has the rest",
    "ood_shared": "a task; metrics: others, values: share of images of a class that it has, too",
}
"""What eval_task is."""

ORDERS_SCHEMA = pa.schema(
    [
        ("design", pa.string()),
        ("block", pa.int32()),
        ("replicate", pa.int32()),
        ("order", pa.list_(pa.string())),
    ]
)
"""One row per order and replicate."""

EMBEDDINGS_SCHEMA = pa.schema(
    [
        ("backbone", pa.string()),
        ("method", pa.string()),
        ("replicate", pa.int32()),
        ("prefix", pa.list_(pa.string())),
        ("eval_task", pa.string()),
        ("modality", pa.string()),  # "image" | "text"
        ("sample", pa.int32()),  # of the test images, or of the texts of choices; null: the mean
        ("choice", pa.int32()),  # the right one of an image, that of a text; null: the mean
        ("vector", pa.list_(pa.float32())),
    ]
)
"""The mean embeddings of every task and, if a study asks for features, those of some samples."""

COSTS_SCHEMA = pa.schema(
    [
        ("backbone", pa.string()),
        ("method", pa.string()),
        ("replicate", pa.int32()),
        ("prefix", pa.list_(pa.string())),
        ("train_seconds", pa.float64()),  # wall time of learning prefix[-1]; 0 at stage 0
        ("evaluate_seconds", pa.float64()),  # wall time of evaluating everything afterwards
    ]
)
"""One row per stage; the sum over the prefixes of an order is what the order costs alone."""

STAGE = ["backbone", "method", "replicate", "prefix"]
"""What identifies a stage."""
RUN = ["backbone", "method", "replicate", "order"]
"""What identifies a run."""
REFERENCES = ("zero_shot", "individual", "joint")
"""Methods that know no order: the untouched backbone, an expert per task, all tasks at once."""
MARK = "\u2020"
"""Stands behind the names of methods that are told which task test data are of."""


class Origin(NamedTuple):
    """Holds what a method is called in its studies, and which these are."""

    method: str
    studies: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """Holds what a study has measured so far.

    Attributes:
        stages: the long table (RESULTS_SCHEMA), `prefix` as tuples, nothing twice.
        orders: the planned orders (ORDERS_SCHEMA), `order` as tuples. They count for every
            backbone and method, unless there are columns that say which.
        folder: where the results were read from; None when they came from memory.
        recorded: wall times (COSTS_SCHEMA) of results that came from memory.
        embedded: mean embeddings (EMBEDDINGS_SCHEMA) of results that came from memory.
        unit: what scores were given in: "fraction", "percent", or "mixed" if that differs between
            methods. They are held as fractions in any case.
        notes: sentences about how given results were read, and what they lack.
        origins: where every method of combined studies comes from; {} otherwise.
        bounds: methods that are reference points rather than contenders; None: those that are
            called so, see `references`.
        every: after how many stages methods of combined studies are evaluated on everything.

    >>> from analysis import tiny_study
    >>> tiny_study().matrix("clip", "finetune", 0, ("cars", "pets", "textures")).round(2)
                        cars  pets  textures
    stage trained_task
    0                   0.30  0.35       0.4
    1     cars          0.90  0.35       0.4
    2     pets          0.57  0.85       0.4
    3     textures      0.35  0.47       0.8
    """

    stages: pd.DataFrame
    orders: pd.DataFrame
    folder: fs.FileSystem | None = None
    recorded: pd.DataFrame | None = None
    embedded: pd.DataFrame | None = None
    unit: str = "fraction"
    notes: tuple[str, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)
    bounds: frozenset[str] | None = None
    every: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def references(self) -> frozenset[str]:
        """Returns the methods that mark what could be reached, and compete with none.

        Those of `bounds`; else all that are, by study.yaml or by their own name, one of REFERENCES.
        """
        if self.bounds is not None:
            return self.bounds
        entries = self.config.get("methods", {})
        found = set()
        for label in self.stages["method"].unique():
            own = self.origins[label].method if label in self.origins else label
            named = (entries.get(own) or {}).get("method", own)
            if re.sub(r"[ -]", "_", str(named).lower()) in REFERENCES:
                found.add(label)
        return frozenset(found)

    @cached_property
    def knows_task(self) -> dict[str, bool | None]:
        """Returns whether each method is told which task test data are of; None: not known."""
        if "knows_task" not in self.stages:
            return dict.fromkeys(sorted(self.stages["method"].unique()))
        said = self.stages.groupby("method")["knows_task"]
        return {str(method): _one(list(values.dropna().unique())) for method, values in said}

    @cached_property
    def config(self) -> dict[str, Any]:
        """Returns what study.yaml says, read when first used; {} where there is none."""
        return read_mapping(self.folder, "study.yaml")

    def every_of(self, method: str) -> int:
        """Returns after how many stages a method is evaluated on everything."""
        if self.every:
            return self.every.get(method, 1)
        section = self.config.get("evaluation")
        every = section.get("every") if isinstance(section, Mapping) else None
        return every if isinstance(every, int) else 1

    @cached_property
    def embeddings(self) -> pd.DataFrame:
        """Returns the mean embeddings (EMBEDDINGS_SCHEMA), read when first used."""
        if self.embedded is not None:
            return self.embedded
        found = self._embeddings(pc.field("sample").is_null())
        return found.drop(columns=["sample", "choice"])

    @cached_property
    def features(self) -> pd.DataFrame:
        """Returns the embeddings of single samples (EMBEDDINGS_SCHEMA), read when first used."""
        return self._embeddings(pc.field("sample").is_valid())

    def _embeddings(self, chosen: pc.Expression) -> pd.DataFrame:
        if self.folder is None:
            return pd.DataFrame(columns=EMBEDDINGS_SCHEMA.names)
        table = read_parts(self.folder, "embeddings", EMBEDDINGS_SCHEMA, chosen)
        once = [*STAGE, "eval_task", "modality", "sample"]
        return as_frame(table, "prefix").drop_duplicates(once)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Returns the recorded wall times (COSTS_SCHEMA), read when first asked for."""
        if self.recorded is not None:
            return self.recorded
        if self.folder is None:
            return pd.DataFrame(columns=COSTS_SCHEMA.names)
        table = read_parts(self.folder, "costs", COSTS_SCHEMA)
        return as_frame(table, "prefix").drop_duplicates(STAGE, keep="last")

    def train_seconds(self, runs: Sequence[RunKey]) -> np.ndarray:
        """Returns what training the stages of each run takes, [runs]; NaN where not recorded."""
        stages = zip(*(self.costs[column] for column in STAGE), strict=True)
        seconds = dict(zip(stages, self.costs["train_seconds"], strict=True))
        return np.array([sum(seconds.get(s, np.nan) for s in run.stages) for run in runs])

    @cached_property
    def scores(self) -> ScoreArray:
        """Returns all scores as one array that is indexed by stage and evaluation."""
        return ScoreArray.from_long(self.stages[self.stages["status"] == "ok"])

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Returns one row per planned run of every (backbone, method) seen.

        Columns: backbone, method, replicate, seed, design, block, order (tuple), missing (number
        of stages 1..T that lack the score of a task learnt so far; 0 = complete), error (of
        the first failed stage; None if nothing failed).
        """
        pairs = self.stages[["backbone", "method"]].drop_duplicates()
        if "method" in self.orders:
            runs = pairs.merge(self.orders, on=["backbone", "method"])
        else:
            runs = pairs.merge(self.orders, how="cross")
        runs = runs.sort_values(RUN, ignore_index=True)
        keys = as_runs(runs)
        seeds = self.stages.drop_duplicates(RUN[:3])[[*RUN[:3], "seed"]]
        failed = self.failures.set_index(STAGE)["error"].to_dict()
        errors = [next((failed[s] for s in run.stages if s in failed), None) for run in keys]
        runs["seed"] = runs[RUN[:3]].merge(seeds, how="left")["seed"].astype("Int64")
        runs["missing"] = self.scores.missing(keys, [self.every_of(run.method) for run in keys])
        runs["error"] = pd.Series(errors, dtype=object)
        return runs[[*RUN[:3], "seed", "design", "block", "order", "missing", "error"]]

    def in_study_of(self, near: str, method: str) -> str:
        """Returns what a method is called in the study that another one comes from.

        The two names differ only where studies were combined that do not agree about the method.
        """
        home = set(self.origins[near].studies) if near in self.origins else set()
        named = (
            name
            for name, origin in self.origins.items()
            if origin.method == method and home & set(origin.studies)
        )
        return next(named, method)

    def __repr__(self) -> str:
        """Returns the study and its size in a line."""
        return described(self.stages, self.runs)

    def _repr_html_(self) -> str:
        """Returns the same as a table, for notebooks."""
        return described_as_html(self.stages, self.runs)

    @property
    def failures(self) -> pd.DataFrame:
        """Returns one row per stage that failed and was not trained since."""
        return self.stages.loc[self.stages["status"] == "failed", [*STAGE, "error"]]

    def matrix(
        self, backbone: str, method: str, replicate: int, order: Sequence[str]
    ) -> pd.DataFrame:
        """Returns the accuracy matrix R of one run, complete or not.

        Returns:
            R[k, i], fractions: index (stage, trained_task) for k = 0..T, columns = tasks in
            learning order; NaN where nothing has been measured yet.

        Raises:
            ValueError: nothing has been measured for that run.
        """
        run = RunKey(backbone, method, int(replicate), tuple(order))
        if not any(stage in self.scores.rows for stage in run.stages):
            known = ", ".join(sorted({f"{b}/{m}" for b, m, _, _ in self.scores.rows}))
            raise ValueError(
                f"No stage of {backbone}/{method}, replicate {replicate}, order "
                f"{'>'.join(order)} was measured; measured: {known}."
            )
        index = pd.MultiIndex.from_tuples(
            list(enumerate(["", *run.order])), names=["stage", "trained_task"]
        )
        return pd.DataFrame(self.scores.matrices([run])[0], index, list(run.order))


def called(method: str, told: Collection[str]) -> str:
    """Returns the name of a method, with its mark if it is one of those that are told the task.

    >>> called("tall", {"tall"}), called("ties", {"tall"})
    ('tall\u2020', 'ties')
    """
    return f"{method}{MARK}" if method in told else method


def _one(values: Sequence[Any]) -> bool | None:
    """Returns what all agree on; None where nothing, or not the same, is said."""
    return bool(values[0]) if len(values) == 1 else None


def load(out: str | Path) -> Results:
    """Returns the results in a run folder; works while the study is still running.

    Args:
        out: a local path, or a URI that pyarrow can open (s3://, gs://).

    Raises:
        FileNotFoundError: the folder holds no results.

    >>> load('nowhere')
    Traceback (most recent call last):
    ...
    FileNotFoundError: 'nowhere' holds no results: no rows in results/*.parquet.
    """
    if Path(out).is_file():
        raise FileNotFoundError(
            f"'{out}' is a file, and results are read from the folder of a run; for results of "
            f"other tools see analysis.read_matrices."
        )
    folder = open_folder(str(out))
    table = read_parts(folder, "results", RESULTS_SCHEMA)
    if table.num_rows == 0:
        raise FileNotFoundError(f"'{out}' holds no results: no rows in results/*.parquet.")
    if folder.get_file_info("orders.parquet").type != fs.FileType.File:
        raise FileNotFoundError(f"'{out}' holds no orders.parquet, so its runs are unknown.")
    orders = ds.dataset("orders.parquet", ORDERS_SCHEMA, filesystem=folder).to_table()
    return Results(
        once(as_frame(table, "prefix")),
        as_frame(orders, "order").drop_duplicates(["replicate", "order"], ignore_index=True),
        folder,
    )


def as_runs(runs: pd.DataFrame) -> list[RunKey]:
    """Returns the rows of a frame of runs, as keys."""
    return [RunKey(*row) for row in zip(*(runs[column] for column in RUN), strict=True)]


def once(stages: pd.DataFrame) -> pd.DataFrame:
    """Returns every score once (the last one), and failures only of stages without scores."""
    ok = stages[stages["status"] == "ok"]
    ok = ok.drop_duplicates([*STAGE, "split", "eval_task", "metric"], keep="last")
    failed = stages[stages["status"] == "failed"].drop_duplicates(STAGE, keep="last")
    if failed.empty:
        return ok.reset_index(drop=True)
    done = set(zip(*(ok[column] for column in STAGE), strict=True))
    alone = [key not in done for key in zip(*(failed[column] for column in STAGE), strict=True)]
    return pd.concat([ok, failed[alone]], ignore_index=True)
