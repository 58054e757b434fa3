"""Few new weights beside frozen ones: low rank, bottlenecks, mixtures of experts."""
