"""Few new weights that are read, not computed with: tokens and attention prefixes."""
