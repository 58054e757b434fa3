"""How similar tasks are, and what that says about their orders.

sampled         a sample of every task
embedded        tasks as the untouched backbone sees them
contributions   of one task to another: mean cosines (Sekeh & Wisell)
gradients       what their losses look like from one place: Task2Vec, curvature
experts, logme  by one expert per task: task vectors, transfer, LogME
measures        all measures of similarity by name, how good they are, what they cost
scores          what a similarity matrix foretells of an order
paths           extreme orders, rules of thumb
bands           orders whose neighbours are as similar as asked for
proposals       the best and the worst order by a score
training, tables, study   experts trained, all measured once, kept with a run
"""
