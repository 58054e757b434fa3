"""How similar tasks are, and what that says about their orders.

embedded        tasks as the untouched backbone sees them
contributions   of one task to another: mean cosines (Sekeh & Wisell)
measures        all measures of similarity by name, and how good they are
scores          what a similarity matrix foretells of an order
paths           extreme orders, rules of thumb
bands           orders whose neighbours are as similar as asked for
proposals       the best and the worst order by a score
tables, study   measured once, kept with a run
"""
