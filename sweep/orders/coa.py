"""Makes component orthogonal arrays: balanced for every pair of positions.

J.-F. Yang, F. Sun, H. Xu, "A component-position model, analysis and design for order-of-addition
experiments" (Technometrics 63, 2021, doi 10.1080/00401706.2020.1764394). That paper was not
available; the construction here is our own. For n = p^m, p prime, the n(n-1) orders are the lines
k -> a k + b, a != 0, over the finite field of n numbers, k being the position. Exactly one line
passes through two points, so any two tasks are at any two positions in exactly one order.
"""

from collections.abc import Sequence

import numpy as np

from sweep.errors import InputError
from sweep.orders.base import Design, relabelled
from sweep.orders.order import Order


class ComponentOrthogonalArray(Design):
    """n(n-1) orders for n a prime power: any two tasks once at any two positions."""

    name: str = "coa"

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns one array; each single order is uniform over all n!."""
        n = len(tasks)
        prime, power = _as_power(n)
        if prime**power != n:
            raise InputError(
                f"design 'coa' needs a number of tasks that is a power of a prime (2, 3, 4, 5, 7, "
                f"8, 9, 11, 13, 16, ...), got {n}; use design 'williams'."
            )
        plus, times = _field(prime, power)
        lines = plus[times[1:, None, :], np.arange(n)[None, :, None]]  # [a, b, k]
        return relabelled(lines.reshape(-1, n).tolist(), tasks, rng)


def _as_power(n: int) -> tuple[int, int]:
    """Returns the smallest prime in n, and how often it is in n; (2, 1) if there is none."""
    prime = next((d for d in range(2, n + 1) if n % d == 0), 2)
    power = 1
    while n % prime ** (power + 1) == 0 and n:
        power += 1
    return prime, power


def _field(prime: int, power: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns addition and multiplication of the field of q = prime^power numbers: int [q, q].

    A number stands for the polynomial whose coefficients are its digits to the base `prime`;
    products are taken modulo x^power = r, with the first r that leaves no divisors of zero.
    """
    q, base = prime**power, prime ** np.arange(power)
    digits = np.arange(q)[:, None] // base % prime  # [q, power]
    plus = (digits[:, None] + digits) % prime @ base
    for r in digits:
        shifted = [digits]  # x^k times every number
        for _ in range(power - 1):
            low, top = np.roll(shifted[-1], 1, axis=1), shifted[-1][:, -1:]
            low[:, 0] = 0
            shifted.append((low + top * r) % prime)
        times = np.einsum("ak,kbd->abd", digits, np.stack(shifted)) % prime @ base
        if times[1:, 1:].all():
            break
    return plus, times
