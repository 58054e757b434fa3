"""How similar tasks are, and what that says about their orders.

base            what a measure is
sampled         a sample of every task
embedded        tasks as the untouched backbone sees them
mean_cosines    contributions of one task to another (Sekeh & Wisell)
gradients       what their losses look like from one place: Task2Vec, curvature
experts, logme  by one expert per task: task vectors, transfer, LogME
measures        all measures of similarity, how good they are, what they cost
order_scores    what a similarity matrix predicts of an order
paths           extreme orders, rules of thumb
bands           orders whose neighbours are as similar as asked for
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
"""All of them follow from one forward pass, so a study takes them unless it says otherwise."""
OF_GRADIENTS = {
    "task2vec": "sweep.similarity.measures:TASK2VEC",
    "curvature": "sweep.similarity.measures:CURVATURE",
}
OF_EXPERTS = {
    "task_vector": "sweep.similarity.measures:TASK_VECTOR",
    "transfer": "sweep.similarity.measures:TRANSFER",
    "logme": "sweep.similarity.measures:LOGME",
    "expert_curvature": "sweep.similarity.measures:EXPERT_CURVATURE",
}
MEASURES = {**OF_EMBEDDINGS, **OF_GRADIENTS, **OF_EXPERTS}
