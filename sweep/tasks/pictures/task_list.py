"""Lists the tasks: their classes, and which pictures belong to each."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PictureTask:
    """A task, or a held-out suite."""

    name: str
    classes: Mapping[str, tuple[str, ...]]
    """Groups of pictures by the name of their class."""
    templates: tuple[str, ...]
    """The first one is trained with."""
    question: str
    sources: tuple[str, ...]
    """Collections that its pictures come from."""
    names: int = 30
    """Most concepts of a class."""
    drawings: int = 8
    """Most pictures of one concept."""
    is_probe: bool = False


_STYLES = ("twemoji", "noto", "fluent-3d", "fluent-flat")
HELD_OUT_STYLE = "emojione"
"""A drawing style that no task and no pretraining shows: only the suite `style`."""
_GARMENTS = "t-shirt,trousers,pullover,dress,coat,sandal,shirt,sneaker,bag,ankle boot"
_DIGITS = "zero,one,two,three,four,five,six,seven,eight,nine"
_SCRIPTS = "Latin,Arabic,Hebrew,Devanagari,Tamil,Thai,Georgian,Armenian,Ethiopic,Khmer"
_SUITS = "clubs,diamonds,hearts,spades"


def _same(names: str) -> Mapping[str, tuple[str, ...]]:
    return {name: (name,) for name in names.split(",")}


ANIMALS = _same("mammal,bird,bug,sea animal,reptile")
FOOD = _same("fruit,vegetable,dish,sweet,drink")
OBJECTS = _same(
    "garment,tool,musical instrument,household item,electronic device,sports equipment,toy"
)
PLACES = _same("land vehicle,boat,aircraft,building,landscape,sky,plant")
FACES = {
    "happy": ("happy face",),
    "worried": ("worried face",),
    "doubtful": ("doubtful face",),
    "sick": ("sick face",),
    "cheeky": ("cheeky face",),
    "cat": ("cat face",),
}
PEOPLE = {
    "at work": ("person at work",),
    "doing sports": ("person doing sports",),
    "making a gesture": ("gesturing person",),
    "from a fairy tale": ("fantasy creature",),
    "in motion": ("active person",),
}
CLIP_ART = {
    "mammal": ("mammal",),
    "bird": ("bird",),
    "insect": ("insect",),
    "fruit": ("fruit",),
    "dessert": ("sweet",),
    "meal": ("dish",),
    "drink": ("drink",),
    "vehicle": ("vehicle",),
    "musical instrument": ("instrument",),
    "tool": ("tool",),
    "plant": ("plant",),
    "building": ("building",),
    "garment": ("garment",),
    "electronic device": ("device",),
}
STYLE = {
    "animal": ("mammal", "bird", "bug", "sea animal", "reptile"),
    "food": ("fruit", "vegetable", "dish", "sweet", "drink"),
    "vehicle": ("land vehicle", "boat", "aircraft"),
    "building": ("building",),
    "face": ("happy face", "worried face", "doubtful face", "sick face", "cheeky face"),
    "person": ("person at work", "person doing sports", "gesturing person", "active person"),
    "plant": ("plant",),
    "tool": ("tool",),
    "garment": ("garment",),
}
_ALL = (
    PictureTask(
        "clothing",
        _same(_GARMENTS),
        ("a photo of a {}.", "a {}.", "a photo of clothing: a {}."),
        "Which garment is this?",
        ("fashion-mnist",),
    ),
    PictureTask(
        "digits",
        _same(_DIGITS),
        ("a handwritten {}.", "the digit {}.", "a scan of the number {}."),
        "Which digit is this?",
        ("scikit-learn",),
    ),
    PictureTask(
        "animals",
        ANIMALS,
        ("a drawing of a {}.", "a picture of an animal, a {}.", "a {}."),
        "Which kind of animal is this?",
        _STYLES,
        names=24,
    ),
    PictureTask(
        "food",
        FOOD,
        ("a drawing of a {}.", "a picture of food, a {}.", "a {}."),
        "Which kind of food is this?",
        _STYLES,
    ),
    PictureTask(
        "objects",
        OBJECTS,
        ("a drawing of a {}.", "a picture of an object, a {}.", "a {}."),
        "Which kind of object is this?",
        _STYLES,
    ),
    PictureTask(
        "places",
        PLACES,
        ("a drawing of a {}.", "a picture of something outdoors, a {}.", "a {}."),
        "What can be seen here?",
        _STYLES,
    ),
    PictureTask(
        "people",
        PEOPLE,
        ("a drawing of someone {}.", "a picture of someone {}."),
        "What can be said of this person?",
        _STYLES,
    ),
    PictureTask(
        "clipart",
        CLIP_ART,
        ("clip art of a {}.", "a picture of a {}.", "a {}."),
        "What does this clip art show?",
        ("openclipart",),
    ),
    PictureTask(
        "cards",
        _same(_SUITS),
        ("a playing card of {}.", "a card: {}."),
        "Which suit is this playing card?",
        ("openclipart",),
        drawings=40,
    ),
    PictureTask(
        "scripts",
        _same(_SCRIPTS),
        ("a {} letter.", "a letter of the {} script.", "{} writing."),
        "Which script is this letter of?",
        ("noto-fonts",),
    ),
    PictureTask(
        "faces",
        FACES,
        ("a {} face.", "a drawing of a {} face."),
        "What is this face like?",
        _STYLES,
        is_probe=True,
    ),
    PictureTask(
        "style",
        STYLE,
        ("a drawing of a {}.", "a picture of a {}.", "a {}."),
        "What does this drawing show?",
        (HELD_OUT_STYLE,),
        names=12,
        is_probe=True,
    ),
)
TASKS = {task.name: task for task in _ALL if not task.is_probe}
SUITES = {task.name: task for task in _ALL if task.is_probe}
CAPTIONS = "captions"
"""Name of the retrieval set."""
