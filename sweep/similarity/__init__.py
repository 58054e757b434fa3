"""Measures how similar tasks are, and what that predicts of their orders.

Samples of every task come in; similarity matrices, scores of orders and proposed orders go out.

base            what a measure is
sampled         a sample of every task
embedded        embeddings of tasks by the untouched backbone
mean_cosines    contributions of one task to another (Sekeh & Wisell)
transport       optimal transport between data sets
gradients       gradients of the tasks' losses at the same weights: Task2Vec, curvature
experts, logme  one expert per task: task vectors, transfer, LogME
measures        all measures of similarity, how good they are, what they cost
order_scores    what a similarity matrix predicts of an order
paths           extreme orders, rules of thumb
bands           orders whose neighbours have a chosen similarity
proposals       the best and the worst order by a score
"""

OF_EMBEDDINGS = {
    "image_text": "sweep.similarity.measures:IMAGE_TEXT",
    "text_image": "sweep.similarity.measures:TEXT_IMAGE",
    "image_image": "sweep.similarity.measures:IMAGE_IMAGE",
    "text_text": "sweep.similarity.measures:TEXT_TEXT",
    "centroid": "sweep.similarity.measures:CENTROID",
    "prototype": "sweep.similarity.measures:PROTOTYPE",
    "frechet": "sweep.similarity.measures:FRECHET",
    "otdd": "sweep.similarity.measures:OTDD",
    "cka": "sweep.similarity.measures:CKA",
    "names": "sweep.similarity.measures:NAMES",
}
"""Measures by name that share one forward pass; the default of a study."""
OF_GRADIENTS = {
    "task2vec": "sweep.similarity.measures:TASK2VEC",
    "curvature": "sweep.similarity.measures:CURVATURE",
}
"""Measures by name that need backward passes."""
OF_EXPERTS = {
    "task_vector": "sweep.similarity.measures:TASK_VECTOR",
    "transfer": "sweep.similarity.measures:TRANSFER",
    "logme": "sweep.similarity.measures:LOGME",
    "expert_curvature": "sweep.similarity.measures:EXPERT_CURVATURE",
}
"""Measures by name that first train one expert per task."""
MEASURES = {**OF_EMBEDDINGS, **OF_GRADIENTS, **OF_EXPERTS}
"""All measures by name."""
