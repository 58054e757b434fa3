"""The model is kept near what a frozen teacher says."""
