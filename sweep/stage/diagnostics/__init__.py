"""What a study may measure of every stage beside scores and mean embeddings.

The test samples and the method as it is now come in; rows of results and embeddings go out.
"""
