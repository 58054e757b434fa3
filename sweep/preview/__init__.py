"""What a study takes and how far it is, without training it.

A plan or a run folder comes in; costs, precision and progress go out.
"""
