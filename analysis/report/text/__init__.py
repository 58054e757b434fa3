"""What a report says.

In: the statistics of a study. Out: answers, findings and captions, as sentences.
"""
