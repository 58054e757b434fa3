"""Draws pictures of one thing, with captions."""

from dataclasses import dataclass, fields, replace

from sweep.tasks.world import words
from sweep.tasks.world.backgrounds import SCENES, sets_off
from sweep.tasks.world.colors import COLORS, INK, PAPER
from sweep.tasks.world.dice import Dice
from sweep.tasks.world.render import Scene, Thing
from sweep.tasks.world.stencils import shapes
from sweep.tasks.world.subjects import Size, Subject, shape

_RADII: dict[Size, tuple[float, float]] = {
    "small": (0.28, 0.34),
    None: (0.46, 0.54),
    "big": (0.66, 0.78),
}
"""Range of radii by size, in units of half the image."""
_SIDES = {"left": (-1, 0), "right": (1, 0), "top": (0, 1), "bottom": (0, -1), "center": (0, 0)}
"""Directions of places in the picture, y upwards."""
_OFF_CENTER = 0.55
"""Distance of a place from the center, in units of half the image."""
_TURN = 0.2
"""Largest random rotation, in radians."""


@dataclass(frozen=True)
class Captioned:
    """A scene and a sentence that is true of it."""

    scene: Scene
    caption: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """A picture of one thing in words; None where nothing is said."""

    subject: Subject | None = None
    color: str | None = None
    texture: str | None = None
    size: Size = None
    place: str | None = None
    background: str | None = None
    style: str | None = None

    def caption(self) -> str:
        """Returns the words as a sentence."""
        noun = self.subject.noun if self.subject else "thing"
        thing = " ".join(word for word in (self.size, self.texture, self.color, noun) if word)
        return " ".join(
            part
            for part in (
                f"a {self.style} of" if self.style else "",
                f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}",
                f"at the {self.place}" if self.place else "",
                _setting(self.background) if self.background else "",
            )
            if part
        )


def portrait(dice: Dice, given: Look) -> Captioned:
    """Draws a picture with the given look; its caption has what was given and some of the rest."""
    look = _complete(dice, given)
    unsaid = [
        field.name
        for field in fields(Look)
        if getattr(given, field.name) is None and not dice.says()
    ]
    return Captioned(_scene(dice, look), replace(look, **dict.fromkeys(unsaid)).caption())


def _setting(background: str) -> str:
    return f"in the {background}" if background in SCENES else f"on a {background} background"


def _complete(dice: Dice, given: Look) -> Look:
    """Fills in what was not given."""
    style = given.style or ("photo" if dice.happens(0.9) else dice.word(words.STYLES))
    subject = given.subject or shape(dice.word(words.SHAPES))
    if style == "sketch":
        color = texture = background = None
    else:
        color, background = _visible(dice, given)
        plain = subject.is_thin or dice.happens(0.7)
        texture = given.texture or ("plain" if plain else dice.word(words.TEXTURES))
    size = given.size or dice.one_of(_sizes(subject, texture, given))
    place = given.place or (None if size == "big" else _any_place(dice))
    return Look(
        subject=subject,
        color=color,
        texture=texture,
        size=size,
        place=place,
        background=background,
        style=style,
    )


def _any_place(dice: Dice) -> str:
    return dice.word(words.PLACES) if dice.happens(0.5) else "center"


def _visible(dice: Dice, given: Look) -> tuple[str, str]:
    """Returns a color and a background that set each other off."""
    while True:
        color = given.color or dice.word(words.COLORS)
        setting = words.SCENES if dice.happens(0.1) else words.TINTS
        background = given.background or dice.word(setting)
        if sets_off(background, color) or (given.color and given.background):
            return color, background


def _sizes(subject: Subject, texture: str | None, given: Look) -> list[Size]:
    """Returns sizes in which the texture can be made out and a given place means something."""
    if given.texture and not given.place:
        return ["big"]
    too_small = "small" if texture not in (None, "plain") else ""
    too_big = "big" if given.place else ""
    return [size for size in subject.sizes if size not in (too_small, too_big)]


def _scene(dice: Dice, look: Look) -> Scene:
    assert look.subject, "only complete looks are painted"
    radius = dice.between(*_RADII[look.size])
    x, y = _position(dice, look.place, radius)
    thing = Thing(
        look.subject.stencil,
        COLORS[look.color] if look.color else INK,
        x=x,
        y=y,
        radius=radius,
        angle=dice.about(look.subject.angle, _TURN),
        texture=look.texture or "framed",
        ground=None if look.color else PAPER,
    )
    behind = (_speck(dice),) if dice.happens(0.25) and look.color else ()
    return Scene(look.background or "paper", (*behind, thing), look.style or "photo")


def _position(dice: Dice, place: str | None, radius: float) -> tuple[float, float]:
    sides = [_SIDES[side] for side in (place or "center").split()]
    room = 1 - radius
    x, y = (dice.about(_OFF_CENTER * sum(axis), 0.12) for axis in zip(*sides, strict=True))
    return min(max(x, -room), room), min(max(y, -room), room)


def _speck(dice: Dice) -> Thing:
    """Returns a small distractor."""
    color = COLORS[dice.word(words.COLORS)]
    x, y = dice.about(0, 0.9), dice.about(0, 0.9)
    return Thing(shapes()["circle"], color, x=x, y=y, radius=0.09)
