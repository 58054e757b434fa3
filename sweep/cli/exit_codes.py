"""What exit codes say."""

EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED = 1, 2, 130
"""Something failed, broke off or is missing; an error in what was given; stopped by a signal."""
