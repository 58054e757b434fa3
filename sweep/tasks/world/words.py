"""Lists the concepts of the world, each with a common half and a rare half."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Concepts:
    """Words of one kind; rare ones are seldom seen in pretraining, so they are left to learn."""

    common: tuple[str, ...]
    rare: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All of them, common ones first."""
        return self.common + self.rare


SHAPES = Concepts(
    common=("circle", "square", "triangle", "star", "heart", "diamond", "moon", "cross"),
    rare=("hexagon", "ring", "drop", "bolt", "fish", "bell", "cup", "bar"),
)
COLORS = Concepts(
    common=("red", "green", "blue", "yellow", "purple", "white"),
    rare=("orange", "pink", "cyan", "brown", "lime", "teal"),
)
TEXTURES = Concepts(
    common=("plain", "striped", "checkered", "dotted"),
    rare=("framed", "ringed", "wavy", "shaded"),
)
COUNTS = Concepts(common=("two", "three", "four"), rare=("five", "six", "seven"))
LETTERS = Concepts(common=tuple("ACEGIKMOQS"), rare=tuple("BDFHJLNPRT"))
DIGITS = Concepts(
    common=("zero", "one", "two", "three", "four"), rare=("five", "six", "seven", "eight", "nine")
)
RELATIONS = Concepts(common=("left of", "above", "inside"), rare=("right of", "below", "around"))
SCENES = Concepts(common=("grass", "sea", "sand", "snow"), rare=("forest", "lake", "desert", "ice"))
DIRECTIONS = Concepts(
    common=("up", "down", "left", "right"), rare=("up left", "up right", "down left", "down right")
)
PLACES = Concepts(
    common=("center", "top", "bottom", "left", "right"),
    rare=("top left", "top right", "bottom left", "bottom right"),
)
SIZES = Concepts(common=("small", "big"))
TINTS = Concepts(common=("black", "navy", "grey", "cream", "rose"))
STYLES = Concepts(
    common=("photo", "sketch", "blurry photo", "pixelated photo", "noisy photo", "negative photo")
)
BLOBS = Concepts(common=(), rare=("dax", "wug", "blick", "toma", "fep", "zorp", "gleem", "koba"))
