"""Colors by name."""

RGB = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

COLORS: dict[str, RGB] = {
    "red": (0.9, 0.1, 0.1),
    "green": (0.1, 0.65, 0.2),
    "blue": (0.15, 0.25, 0.95),
    "yellow": (0.95, 0.85, 0.1),
    "purple": (0.55, 0.1, 0.7),
    "white": (0.97, 0.97, 0.97),
    "orange": (1.0, 0.5, 0.05),
    "pink": (1.0, 0.55, 0.7),
    "cyan": (0.15, 0.85, 0.95),
    "brown": (0.5, 0.3, 0.1),
    "lime": (0.65, 0.95, 0.15),
    "teal": (0.05, 0.5, 0.5),
}
INK: RGB = (0.2, 0.2, 0.2)
PAPER: RGB = (0.97, 0.97, 0.97)
