"""Earlier samples, or made-up ones, are trained on again."""
