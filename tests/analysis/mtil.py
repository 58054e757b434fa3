"""Accuracy matrices published with ZSCL (Zheng et al., ICCV 2023), as golden data."""

import json
from pathlib import Path

import numpy as np

PUBLISHED = json.loads((Path(__file__).parent / "mtil.json").read_text())
ORDERS = {name: tuple(order) for name, order in PUBLISHED["orders"].items()}


def mtil() -> dict[tuple[str, int, tuple[str, ...]], np.ndarray]:
    """{(method, replicate, order): R}, fractions, the zero-shot accuracies as row 0."""
    matrices = {}
    for name, by_method in PUBLISHED["matrices"].items():
        zero_shot = [PUBLISHED["zero_shot"][task] for task in ORDERS[name]]
        for method, rows in by_method.items():
            matrices[method, 0, ORDERS[name]] = np.vstack([zero_shot, rows]) / 100
    return matrices
