"""What papers and their code say of data sets: splits, names of classes, prompts.

Zheng et al. (ZSCL, ICCV 2023), mtil/src/datasets/collections.py; FusionBench,
fusion_bench/tasks/clip_classification; both as of 2025.
"""

from collections.abc import Mapping

from sweep.tasks.named.benchmark_files import read_benchmark
from tests.sweep.hub_copies import CLASS_NAMES

HUB = CLASS_NAMES["hub"]
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MTIL: Mapping[str, tuple[int, int, int, int]] = {
    # classes, images to train and to test, templates; of torchvision's splits, or 80 % of all
    "aircraft": (100, 3334, 3333, 2),
    "caltech101": (101, 6941, 1736, 34),
    "cifar100": (100, 50_000, 10_000, 18),
    "dtd": (47, 1880, 1880, 8),
    "eurosat": (10, 21_600, 5400, 3),
    "flowers": (102, 1020, 6149, 1),
    "food": (101, 75_750, 25_250, 1),
    "mnist": (10, 60_000, 10_000, 1),
    "oxford-pet": (37, 3680, 3669, 1),
    "stanford-cars": (196, 8144, 8041, 9),
    "sun397": (397, 87_003, 21_751, 2),
}
READ = {
    # where the split of the protocol is, and which of its parts train and test
    "aircraft": ("mteb/FGVCAircraft", "train", "test"),
    "caltech101": ("mteb/Caltech101", "train+test", None),
    "cifar100": ("mteb/cifar100", "train", "test"),
    "dtd": ("mcimpoi/dtd_split_1", "train", "test"),  # others train on its validation split, too
    "eurosat": ("timm/eurosat-rgb", "train+validation+test", None),
    "flowers": ("dpdl-benchmark/oxford_flowers102", "train", "test"),  # elsewhere exchanged
    "food": ("ethz/food101", "train", "validation"),
    "mnist": ("ylecun/mnist", "train", "test"),
    "oxford-pet": ("timm/oxford-iiit-pet", "train", "test"),
    "stanford-cars": ("tanganke/stanford_cars", "train", "test"),
    "sun397": ("1aurent/SUN397", "train", None),
}
TALL = {
    # templates of FusionBench: how many, and the first
    "sun397": (2, "a photo of a {}."),
    "stanford-cars": (8, "a photo of a {}."),
    "resisc45": (18, "satellite imagery of {}."),
    "eurosat": (3, "a centered satellite photo of {}."),
    "svhn": (1, 'a photo of the number: "{}".'),
    "gtsrb": (3, 'a zoomed in photo of a "{}" traffic sign.'),
    "mnist": (1, 'a photo of the number: "{}".'),
    "dtd": (8, "a photo of a {} texture."),
    "oxford_flowers102": (1, "a photo of a {}, a type of flower."),
    "pcam": (1, "this is a photo of {}"),
    "fer2013": (6, "a photo of a {} looking face."),
    "oxford-iiit-pet": (1, "a photo of a {}, a type of pet."),
    "stl10": (2, "a photo of a {}."),
    "cifar100": (18, "a photo of a {}."),
    "cifar10": (18, "a photo of a {}."),
    "food101": (1, "a photo of {}, a type of food."),
    "fashion_mnist": (2, "a photo of a {}."),
    "emnist_letters": (1, 'a photo of the digit character: "{}".'),
    "kmnist": (1, "a photo of the character {}."),
    "rendered-sst2": (1, "a {} review of a movie."),
}
EUROSAT = {
    "AnnualCrop": "annual crop land",
    "Forest": "forest",
    "HerbaceousVegetation": "brushland or shrubland",
    "Highway": "highway or road",
    "Industrial": "industrial buildings or commercial buildings",
    "Pasture": "pasture land",
    "PermanentCrop": "permanent crop land",
    "Residential": "residential buildings or homes or apartments",
    "River": "river",
    "SeaLake": "lake or sea",
}


def said_in_mtil() -> dict[str, list[str]]:
    """Returns what ZSCL's prompts call the classes, made from the names on the hub by its rules."""
    said = {
        name: [label.replace("_", " ") for label in HUB[source.path]]
        for name, source in read_benchmark("mtil").tasks.items()
    }
    said["caltech101"] = CLASS_NAMES["prompts"]["caltech101"]
    said["cifar100"][26] = "crab"
    said["eurosat"] = [EUROSAT[label] for label in HUB["timm/eurosat-rgb"]]
    said["flowers"] = [label.rstrip("?") for label in said["flowers"]]
    said["mnist"] = [f"{number} - {word}" for number, word in enumerate(DIGITS)]
    said["oxford-pet"] = [label.title() for label in said["oxford-pet"]]
    said["sun397"] = [label[3:] for label in said["sun397"]]  # "/a/abbey"
    return said
