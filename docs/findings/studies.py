"""What a finding is, and how the studies that test them are run.

They were made on the embedded world, `world`, with `tiny-clip`, and are tested on real pictures,
`pictures`, with `tiny-clip-pictures`.
"""

from dataclasses import dataclass, field

from findings.quantities import Quantity


@dataclass(frozen=True)
class ShippedStudy:
    """Describes how a shipped study was run in both worlds.

    Attributes:
        question: what it asks.
        tasks: of `pictures`.
        both: what `--set` is given in both worlds.
        made: what else it is given in the made world.
        pictures: what else it is given on pictures.
    """

    question: str
    tasks: tuple[str, ...]
    both: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()

    def settings(self, world: str) -> list[str]:
        """Returns what `--set` is given, in the world "made" or "pictures"."""
        if world == "made":
            return [*self.made, *self.both]
        names = ", ".join(self.tasks)
        benchmark = f"benchmark={{name: pictures, tasks: [{names}], test: {TEST}}}"
        return [benchmark, "backbones=[tiny-clip-pictures]", *RATE, *self.both, *self.pictures]


TEST = 120
"""Test samples of a task of pictures, at most."""
RATE = ("training.steps=40", "training.lr=5e-4")
"""With 25 steps at 1e-3, as in the made world, joint training learnt next to nothing in a trial."""
FOUR = ("clothing", "digits", "places", "people")
FIVE = (*FOUR, "animals")
STUDIES = {
    "mechanisms": ShippedStudy("What is forgetting made of?", FOUR, both=("replicates=3",)),
    "contrastive": ShippedStudy(
        "Does a contrastive loss beside the task's help?", FOUR, pictures=("replicates=3",)
    ),
    "similarity": ShippedStudy(
        "Do similar neighbours help or harm?", (*FIVE, "food"), both=("replicates=3",)
    ),
    "t3": ShippedStudy(
        "Can the best order be predicted?",
        FOUR,
        made=("benchmark={name: world, tasks: [positions, scenes, sketches, arrows], test: 120}",),
    ),
    "methods": ShippedStudy(
        "What are the methods worth?",
        FOUR,
        both=("design=williams",),
        pictures=("methods.finetune-lr5e-4.lr=2.5e-4", "~methods.gift"),
    ),
    "pam": ShippedStudy(
        "Does averaging adapters make the order matter less?",
        FIVE,
        both=("design=williams", "replicates=3"),
    ),
    "pam-ablation": ShippedStudy(
        "Which part of PAM does it?",
        FIVE,
        both=("replicates=3",),
        pictures=("methods.every-24.every=40",),
    ),
}


@dataclass(frozen=True)
class Finding:
    """Holds a finding.

    Attributes:
        study: the shipped study that tests it.
        text: the finding, in a sentence.
        reported: what the README says of it, from the whole study on the made world.
        about: what the quantity is, in words.
        quantity: what decides it.
        claim: the quantity is "above" or "below" `bound`, or "within" it of zero.
        bound: in the unit of the quantity.
        unit: "points" (of a hundred), "times" (logarithms, shown as factors), or "" (as it is).
    """

    study: str
    text: str
    reported: str
    about: str
    quantity: Quantity = field(repr=False)
    claim: str
    bound: float = 0.0
    unit: str = "points"
