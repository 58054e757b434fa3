"""Weight averaging: the model in the middle of all experts.

Wortsman et al., "Model Soups" (ICML 2022, arXiv 2203.05482), the uniform soup, of experts for
different tasks:

    theta = theta_0 + 1 / T sum_t tau_t
"""

from methods.merging.base import Merging
from methods.merging.task_vectors import MadeOnDemand, TaskVectors


class Average(Merging):
    """Average the weights of independent experts."""

    def merge(self, vectors: TaskVectors) -> MadeOnDemand:
        """Returns the mean of the task vectors."""
        return vectors.each(lambda _, taus: taus.mean(dim=0))
