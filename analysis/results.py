"""The results of a study: the schema every writer follows, and how to read them."""

import pyarrow as pa

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
        ("split", pa.string()),  # what eval_task is: "task" | "probe" | "retrieval"
        ("eval_task", pa.string()),  # null when failed
        ("metric", pa.string()),  # "accuracy", "i2t_r1", ...; null when failed
        ("value", pa.float64()),  # a fraction in [0, 1]; NaN when failed
        ("n", pa.int32()),  # test samples behind `value`
        ("status", pa.string()),  # "ok" | "failed"
        ("error", pa.string()),  # null when ok
    ]
)
"""One row per (stage, eval_task, metric); a stage is stored once, for all orders through it."""

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
        ("vector", pa.list_(pa.float32())),
    ]
)
"""One row per vector of a fixed set of test samples, for drift and alignment measures."""
