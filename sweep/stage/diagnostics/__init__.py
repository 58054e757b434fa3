"""Measures more of every stage than scores and mean embeddings, if a study asks for it.

The test samples and the method as it is now come in; rows of results and embeddings go out.
"""
