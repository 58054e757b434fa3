"""A method: sequential fine-tuning of bias terms alone.

BitFit (Ben Zaken et al., ACL 2022, arXiv 2106.10199) trains about 0.1 % of the weights. The
question that a sweep answers: does so small a change also forget less, in every order?
"""

from methods.baselines.finetune import FineTune


class BitFit(FineTune):
    """Trains biases and nothing else."""

    def trainable(self) -> list[str]:
        """Returns the names of the biases that full fine-tuning would train."""
        return [name for name in super().trainable() if name.endswith(".bias")]
