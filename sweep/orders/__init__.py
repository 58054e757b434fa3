"""Chooses which orders to run: one class per design.

Names of tasks and a random generator come in; the orders of a replicate go out. A new design is a
subclass of `sweep.orders.base.Design`.

How much balance gains: mean width of 95 % intervals at equal numbers of stages trained, in a
made-up world whose truth is known (benchmarks/order_designs.py; noise of a stage 0.01; the
intervals cover the truth in 94.4 to 95.9 % of 1800 studies each).

    tasks  design        orders x replicates  contributions  average accuracy
      5    random              10 x 16            0.0118          0.0115
      5    antithetic          10 x 16            0.0064          0.0048
      5    williams            10 x 15            0.0047          0.0041
      5    coa                 20 x  8            0.0050          0.0047
      7    random              14 x 24            0.0078          0.0087
      7    antithetic          14 x 23            0.0055          0.0036
      7    williams            14 x 23            0.0044          0.0032
      7    coa                 42 x  8            0.0044          0.0034
"""

DESIGNS = {
    "williams": "sweep.orders.williams:Williams",
    "antithetic": "sweep.orders.drawn:Antithetic",
    "coa": "sweep.orders.coa:ComponentOrthogonalArray",
    "random": "sweep.orders.drawn:Random",
    "exhaustive": "sweep.orders.exhaustive:Exhaustive",
    "subsets": "sweep.orders.subsets:Subsets",
    "similarity": "sweep.orders.by_similarity:Similarity",
    "fixed": "sweep.orders.given:Fixed",
}
"""Designs by name."""
