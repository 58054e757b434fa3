"""Counts what this process gets done, so that one that is slow can be told from one that hangs."""


class Pulse:
    """Beats with every step of work that is known to end soon: a batch, a file, some images.

    >>> pulse = Pulse()
    >>> pulse.beat()
    >>> pulse.beats
    1
    """

    def __init__(self) -> None:
        self.beats = 0

    def beat(self) -> None:
        """Says that something more is done; any thread may."""
        self.beats += 1


PULSE = Pulse()
"""That of this process."""
