"""Reckons with prices of GPU-hours."""

import math

from sweep.errors import InputError


def check_price(price: float | None) -> None:
    """Makes sure that a price can be reckoned with.

    Raises:
        InputError: it cannot.

    >>> check_price(-2.5)
    Traceback (most recent call last):
    ...
    sweep.errors.InputError: --price has to be a number above 0, the price of one GPU-hour; ...
    """
    if price is not None and not (price > 0 and math.isfinite(price)):
        raise InputError(
            f"--price has to be a number above 0, the price of one GPU-hour; got {price:g}."
        )


def check_gpus(gpus: int | None, price: float | None) -> None:
    """Makes sure that a number of GPUs and their price can be reckoned with.

    Raises:
        InputError: they cannot.
    """
    if gpus is not None and gpus < 1:
        raise InputError(f"--gpus has to be at least 1, the GPUs of the cluster; got {gpus}.")
    check_price(price)
    if price is not None and gpus is None:
        raise InputError("--price needs --gpus: the number of GPUs that are paid for.")


def priced(hours: float, noun: str, cost: float | None) -> str:
    """Returns hours, and what they cost if that is known.

    >>> priced(12.345, "GPU-hours", 30.8625), priced(12345, "lane-hours", None)
    ('12.3 GPU-hours (30.86)', '12,345 lane-hours')
    """
    said = f"{hours:.3g} {noun}" if hours < 1000 else f"{hours:,.0f} {noun}"
    return said if cost is None else f"{said} ({cost:,.2f})"
