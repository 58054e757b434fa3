"""Loads or renders tasks, reference pools and generated images.

A section of a study comes in; images, choices and captions go out.
"""

BENCHMARKS = {
    "world": "sweep.tasks.world.config:World",
    "dial": "sweep.tasks.world.config:Dial",
    "folder": "sweep.tasks.image_folder:ImageFolder",
}
REFERENCES = {
    "captions": "sweep.tasks.world.config:Captions",
    "dataset": "sweep.tasks.dataset:Dataset",
}
GENERATORS = {
    "renderer": "sweep.tasks.world.config:Renderer",
    "diffusers": "sweep.tasks.diffusion:Diffusion",
}
