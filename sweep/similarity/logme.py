"""Computes LogME: how well features suit labels, without training on them."""

import numpy as np

_MOST_STEPS = 100
"""Most iterations of the fixed point."""
_CLOSE = 1e-5
"""Relative change of alpha / beta at which the iteration ends."""
_TINY = 1e-12
"""Lower bound of squared lengths, which divide."""


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Returns the logarithm of the maximum evidence per sample, averaged over classes.

    You et al., "LogME: Practical Assessment of Pre-trained Models for Transfer Learning" (ICML
    2021, arXiv 2102.11005). Each class present is a regression of its one-hot column y on the
    features F [N, D] with a Gaussian prior on the weights and Gaussian noise,

        y = F w + e,   w ~ N(0, I / alpha),   e ~ N(0, I / beta),

    whose evidence is maximised over alpha and beta by MacKay's fixed point (section 4.2),

        m = beta A^-1 F'y,  A = alpha I + beta F'F,  gamma = sum_k beta s_k / (alpha + beta s_k),
        alpha <- gamma / m'm,   beta <- (N - gamma) / |F m - y|^2,   s_k the eigenvalues of F'F.

    As in the paper, features are neither centred nor is there an intercept.

    Args:
        features: float [N, D].
        labels: int [N].
    """
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    return float(np.mean([_evidence(left, singular, labels == c) for c in np.unique(labels)]))


def _evidence(left: np.ndarray, singular: np.ndarray, labels: np.ndarray) -> float:
    """Returns the log evidence of one class, per sample, in the basis of singular vectors."""
    y = labels.astype(float)
    power, along = singular**2, left.T @ y
    beyond = max(float(y @ y - along @ along), 0.0)  # what no weights can reach

    def fitted(alpha: float, beta: float) -> tuple[float, float, float]:
        """Returns gamma, m'm and |F m - y|^2."""
        kept = beta * power / (alpha + beta * power)
        length = ((kept * along) ** 2 / np.maximum(power, _TINY)).sum()
        return (
            kept.sum(),
            max(length, _TINY),
            max(beyond + (((1 - kept) * along) ** 2).sum(), _TINY),
        )

    alpha = beta = 1.0
    for _ in range(_MOST_STEPS):
        gamma, length, error = fitted(alpha, beta)
        before, alpha, beta = alpha / beta, gamma / length, (len(y) - gamma) / error
        if abs(alpha / beta - before) <= _CLOSE * before:
            break
    _, length, error = fitted(alpha, beta)
    evidence = len(y) * np.log(beta / (2 * np.pi)) - np.log1p(beta / alpha * power).sum()
    return float(evidence - beta * error - alpha * length) / (2 * len(y))
