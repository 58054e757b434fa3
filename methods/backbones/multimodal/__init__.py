"""What fusion models whose images may have any size need more than those of one size.

In come files of a model, images and prompts; out come its processor, image tokens and positions.
"""
