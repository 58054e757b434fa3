"""Small new weights beside frozen ones: low rank, bottlenecks, mixtures of experts.

A stage trains them on its task; they stay beside the weights or are merged into them.
"""
