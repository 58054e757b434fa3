"""The steps of a training: their optimiser, their images, their checkpoints."""
