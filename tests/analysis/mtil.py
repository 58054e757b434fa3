"""Accuracy matrices published with ZSCL (Zheng et al., ICCV 2023), as golden data."""

import json
from pathlib import Path

from analysis import Results, combine, from_matrices

PUBLISHED = json.loads((Path(__file__).parent / "mtil.json").read_text())
ORDERS = {name: tuple(order) for name, order in PUBLISHED["orders"].items()}
METHODS = ("ContinualFT", "ZSCL")


def mtil() -> Results:
    """Both methods on both orders, published in percent."""
    return combine(
        {
            method: from_matrices(
                [PUBLISHED["matrices"][name][method] for name in ORDERS],
                list(ORDERS.values()),
                method,
                PUBLISHED["zero_shot"],
                backbone="clip",
            )
            for method in METHODS
        }
    )
