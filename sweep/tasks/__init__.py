"""Loads or renders tasks, reference pools and generated images.

A section of a study comes in; images, choices and captions go out.
"""

BENCHMARKS = {
    "world": "sweep.tasks.world.config:World",
    "dial": "sweep.tasks.world.config:Dial",
    "folder": "sweep.tasks.image_folder:ImageFolder",
}
"""Benchmarks by name."""
REFERENCES = {
    "captions": "sweep.tasks.world.config:Captions",
    "dataset": "sweep.tasks.dataset:Dataset",
}
"""Reference pools by name."""
GENERATORS = {
    "renderer": "sweep.tasks.world.config:Renderer",
    "diffusers": "sweep.tasks.diffusion:Diffusion",
}
"""Generators by name."""
