"""What tasks, modalities and towers do to accuracy and to embeddings, and how steadily.

In: `Results` and the table of runs. Out: contributions with their robustness, failure modes.
"""
