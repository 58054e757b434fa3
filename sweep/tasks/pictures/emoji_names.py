"""Gives emoji plain names: a caption, the concept that splits are made by, and a group."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_RENAMED = {
    "automobile": "car",
    "aubergine": "eggplant",
    "black heart suit": "heart of playing cards",
    "black spade suit": "spade of playing cards",
    "black club suit": "club of playing cards",
    "black diamond suit": "diamond of playing cards",
    "black universal recycling symbol": "recycling symbol",
    "blowfish": "pufferfish",
    "lady beetle": "ladybug",
    "honeybee": "bee",
    "cherries": "cherry",
    "dromedary camel": "camel with one hump",
    "bactrian camel": "camel with two humps",
    "ear of maize": "ear of corn",
    "slice of pizza": "pizza",
    "soft ice cream": "ice cream cone",
    "ice cream": "bowl of ice cream",
    "hocho": "kitchen knife",
    "izakaya lantern": "red lantern",
    "house building": "house",
    "mans shoe": "shoe",
    "womans clothes": "blouse",
    "womans sandal": "sandal",
    "womans boots": "boot",
    "womans hat": "hat with a ribbon",
    "school satchel": "backpack",
    "wrapped present": "gift",
    "public address loudspeaker": "loudspeaker",
    "black telephone": "telephone",
    "black scissors": "scissors",
    "black nib": "pen nib",
    "moyai": "stone head",
    "wave": "ocean wave",
    "water wave": "ocean wave",
    "delivery truck": "truck",
    "articulated lorry": "big truck",
    "fisted hand sign": "fist",
    "ok hand sign": "ok hand",
    "thumbs up sign": "thumbs up",
    "thumbs down sign": "thumbs down",
    "clapping hands sign": "clapping hands",
    "open hands sign": "open hands",
    "waving hand sign": "waving hand",
    "sign of the horns": "hand with horns",
    "i love you hand sign": "love hand",
    "smiling face with smiling eyes and hand covering mouth": "face with hand over mouth",
    "reversed hand with middle finger extended": "",
    "electric light bulb": "light bulb",
    "electric torch": "flashlight",
    "optical disc": "compact disc",
    "hot beverage": "cup of coffee",
    "tumbler glass": "glass of whiskey",
    "bottle with popping cork": "bottle of champagne",
    "six pointed star with middle dot": "six pointed star",
    "heavy black heart": "red heart",
    "man in tuxedo": "person in tuxedo",
    "man with gua pi mao": "man with a cap",
    "see-no-evil monkey": "monkey covering its eyes",
    "hear-no-evil monkey": "monkey covering its ears",
    "speak-no-evil monkey": "monkey covering its mouth",
    "fire engine": "fire truck",
    "steam locomotive": "steam train",
    "black square button": "black button",
    "squared new": "new button",
    "tulip": "tulip",
    "pile of poo": "",
    "front-facing baby chick": "baby chick from the front",
    "airplane": "airplane",
    "small airplane": "small airplane",
    "personal computer": "laptop",
    "heavy dollar sign": "dollar sign",
    "weary cat face": "weary cat face",
    "selfie": "hand with a phone",
}
"""Better captions for some names; "" leaves the emoji out."""
_IDEOGRAPH = re.compile(
    r"cjk|katakana|ideograph|squared (?:vs|id|ng|ok|cl)|input symbol|bunny ears"
)
_GROUPS = {
    "animal-amphibian": "reptile",
    "animal-bird": "bird",
    "animal-bug": "bug",
    "animal-mammal": "mammal",
    "animal-marine": "sea animal",
    "animal-reptile": "reptile",
    "monkey-face": "mammal",
    "plant-flower": "plant",
    "plant-other": "plant",
    "food-fruit": "fruit",
    "food-vegetable": "vegetable",
    "food-prepared": "dish",
    "food-asian": "dish",
    "food-sweet": "sweet",
    "drink": "drink",
    "dishware": "dishware",
    "clothing": "garment",
    "tool": "tool",
    "musical-instrument": "musical instrument",
    "book-paper": "paper",
    "mail": "paper",
    "writing": "writing tool",
    "household": "household item",
    "computer": "electronic device",
    "phone": "electronic device",
    "light & video": "electronic device",
    "sound": "sound",
    "music": "music",
    "sport": "sports equipment",
    "game": "toy",
    "transport-ground": "land vehicle",
    "transport-water": "boat",
    "transport-air": "aircraft",
    "place-building": "building",
    "place-religious": "building",
    "place-geographic": "landscape",
    "place-other": "landscape",
    "sky & weather": "sky",
    "time": "clock",
    "face-smiling": "happy face",
    "face-affection": "happy face",
    "face-concerned": "worried face",
    "face-negative": "angry face",
    "face-neutral-skeptical": "doubtful face",
    "face-unwell": "sick face",
    "face-tongue": "cheeky face",
    "face-sleepy": "tired face",
    "cat-face": "cat face",
    "person-role": "person at work",
    "person-sport": "person doing sports",
    "person-activity": "active person",
    "person-gesture": "gesturing person",
    "person-fantasy": "fantasy creature",
    "family": "family",
    "country-flag": "flag",
    "subdivision-flag": "flag",
    "transport-sign": "sign",
    "warning": "sign",
    "alphanum": "letters",
    "keycap": "number",
    "award-medal": "prize",
    "money": "money",
    "zodiac": "zodiac sign",
    "religion": "religious symbol",
    "heart": "heart",
    "arrow": "arrow",
    "geometric": "shape",
    "av-symbol": "button",
}
_PERSON = re.compile(r"\b(?:wo)?m[ae]n\b|\bpersons?\b|\bpeople\b|\bguard(?:sman)?\b")
_LOOKS = re.compile(
    r"\bface\b|\bfacing right\b|\boncoming\b|\b(?:red|green|blue|orange|black|white|brown|polar)\b"
    r"|\bslice of\b|\bear of\b|\bbowl of\b|\b(?:big|small)\b|\bwith (?:one|two) humps?\b"
    r"|\bcone\b|\bfrom the front\b|\bwater (?=buffalo)"
)
_SAME = {
    "rat": "mouse",
    "chicken": "hen",
    "ox": "bull",
    "ram": "sheep",
    "poodle": "dog",
    "service dog": "dog",
    "bear face": "bear",
    "polar bear": "bear",
    "t-rex": "dinosaur",
    "sauropod": "dinosaur",
    "hamburger": "burger",
    "french fries": "fries",
    "spiral shell": "shell",
    "grinning face with smiling eyes": "grinning face",
    "tangerine": "orange",
    "top hat": "hat",
    "hat with a ribbon": "hat",
    "athletic shoe": "shoe",
    "flat shoe": "shoe",
    "high-heeled shoe": "shoe",
    "hiking boot": "boot",
    "billed cap": "cap",
    "desktop computer": "computer",
    "left-pointing magnifying glass": "magnifying glass",
    "right-pointing magnifying glass": "magnifying glass",
    "mobile phone": "phone",
    "telephone receiver": "phone",
    "telephone": "phone",
    "drum with drumsticks": "drum",
    "long drum": "drum",
    "musical keyboard": "piano",
    "camera with flash": "camera",
    "tear-off calendar": "calendar",
    "spiral calendar": "calendar",
    "open book": "book",
    "closed book": "book",
    "books": "book",
    "wine glass": "wine",
    "beer mug": "beer",
    "clinking beer mugs": "beer",
    "glass of milk": "milk",
    "cup of coffee": "coffee",
    "cocktail glass": "cocktail",
    "teacup without handle": "teacup",
    "evergreen tree": "fir tree",
    "deciduous tree": "tree",
    "leafless tree": "tree",
    "hot pepper": "pepper",
    "bell pepper": "pepper",
    "brown mushroom": "mushroom",
    "jack-o-lantern": "pumpkin",
    "house with garden": "house",
    "derelict house": "house",
    "houses": "house",
    "japanese castle": "castle",
    "european castle": "castle",
    "racing car": "car",
    "sport utility vehicle": "car",
    "recreational vehicle": "camper",
    "pickup truck": "truck",
    "police car": "police car",
    "birthday cake": "cake",
    "shortcake": "cake",
    "moon cake": "cake",
    "cupcake": "muffin",
    "chocolate bar": "chocolate",
    "baguette bread": "bread",
    "flatbread": "bread",
    "tropical fish": "fish",
    "spouting whale": "whale",
    "baby chick from the front": "baby chick",
    "hatching chick": "baby chick",
    "t-shirt": "shirt",
    "hammer and pick": "hammer",
    "hammer and wrench": "hammer",
    "carpentry saw": "saw",
    "old key": "key",
    "closed lock with key": "padlock",
    "lock with ink pen": "padlock",
    "lock": "padlock",
    "open lock": "padlock",
}
"""Concepts whose drawings differ little, and what clip art calls them."""


class EmojiName(NamedTuple):
    """What an emoji shows."""

    name: str
    """The concept: equal for all drawings that show much the same."""
    caption: str
    group: str


def name_emoji(given: str, subcategory: str) -> EmojiName | None:
    """Returns what an emoji shows, or None if a caption would not tell.

    >>> name_emoji("RED APPLE", "food-fruit")
    EmojiName(name='apple', caption='red apple', group='fruit')
    >>> name_emoji("man surfing", "person-sport").name
    'surfing'
    >>> name_emoji("TIGER FACE", "animal-mammal").name
    'tiger'
    """
    caption = given.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if _IDEOGRAPH.search(caption) or subcategory == "skin-tone":
        return None
    caption = _RENAMED.get(caption, _plain(caption, subcategory))
    if not caption:
        return None
    group = _GROUPS.get(subcategory, "")
    return EmojiName(_concept(caption, subcategory), caption, group)


def _plain(caption: str, subcategory: str) -> str:
    if subcategory == "arrow":
        caption = caption.replace("black ", "").replace("wards", "")
    if subcategory in ("country-flag", "subdivision-flag"):
        country = caption.removesuffix(" flag")
        return f"flag of {country}"
    caption = re.sub(r"^(?:squared|heavy|negative squared|keycap:?) (?=\w)", "", caption)
    if subcategory == "keycap":
        return "" if not re.fullmatch(r"\d|ten", caption) else f"number {caption}"
    if subcategory == "alphanum":
        caption = caption.replace("latin capital letter", "letter")
    return caption.replace("heavy ", "")


def _concept(caption: str, subcategory: str) -> str:
    if caption in _SAME:
        return _SAME[caption]
    if subcategory.startswith("person") or subcategory in ("family",):
        bare = re.sub(r"^[\W_]+|[\W_]+$", "", _PERSON.sub("", caption).replace("facing right", ""))
        if subcategory == "family" or caption.startswith("family"):
            return "family" if caption.startswith("family") else bare.split(":")[0]
        return re.sub(r"\s+", " ", bare) or "person"
    if subcategory == "time" and caption.startswith("clock face"):
        return "clock"
    if "moon" in caption and subcategory == "sky & weather":
        return "moon"
    looks = subcategory.startswith(("animal", "food", "drink", "plant", "transport"))
    if looks or subcategory in ("clothing", "book-paper", "tool", "sport", "place-building"):
        bare = re.sub(r"\s+", " ", _LOOKS.sub("", caption)).strip()
        return _SAME.get(bare, bare) or caption
    return caption


NAMED_GROUPS: Mapping[str, str] = _GROUPS
