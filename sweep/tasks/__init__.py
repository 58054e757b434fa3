"""Loads or renders tasks, reference pools and generated images.

A section of a study comes in; images, choices and captions go out.
"""

from pathlib import Path

NAMED = Path(__file__).parent.parent / "benchmarks"
"""Folder of the files that say what published benchmarks are."""
PROBES = "probes"
"""Name of the file there that is no benchmark: held-out tasks that benchmarks share."""
BENCHMARKS = {
    "world": "sweep.tasks.world.config:World",
    "dial": "sweep.tasks.world.config:Dial",
    "pictures": "sweep.tasks.pictures.real_pictures:Pictures",
    "folder": "sweep.tasks.image_folder:ImageFolder",
    "datasets": "sweep.tasks.sources.datasets:Datasets",
    **dict.fromkeys(
        sorted(file.stem for file in NAMED.glob("*.yaml") if file.stem != PROBES),
        "sweep.tasks.named.named_benchmark:Published",
    ),
}
"""Benchmarks by name."""
REFERENCES = {
    "captions": "sweep.tasks.world.config:Captions",
    "pictures": "sweep.tasks.pictures.real_pictures:PicturePool",
    "dataset": "sweep.tasks.dataset:Dataset",
}
"""Reference pools by name."""
GENERATORS = {
    "renderer": "sweep.tasks.world.config:Renderer",
    "diffusers": "sweep.tasks.diffusion:Diffusion",
}
"""Generators by name."""
