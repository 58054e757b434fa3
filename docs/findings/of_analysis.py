"""The findings of analysis/README.md, each with the quantity that decides it."""

from findings.quantities import (
    agreement_of,
    difference,
    effect_on_loss,
    lost_pairs,
    mean_of,
    minus,
    mode,
    most_similar_minus_least,
    of_gains,
    pairs_when_learnt,
    proposed,
    ratio,
    share,
    slope_of_similarity,
    worth_of,
)
from findings.studies import Finding

ACCURACY, FORGETTING = "average_accuracy", "forgetting_max"
ZERO_SHOT = "zero_shot_erosion"

FINDINGS = [
    # --- mechanisms
    Finding(
        "mechanisms",
        "What one task does to another depends on the order; where tasks lie to each other in the "
        "embedding space depends on it less.",
        "0.74 against 0.51",
        "agreement of two runs (tau) on alignments, minus that on gains; `finetune`",
        minus(agreement_of("image_text", "finetune"), agreement_of("gain", "finetune")),
        "above",
        unit="",
    ),
    Finding(
        "mechanisms",
        "The task learnt just before explains more than half of what a task does to another.",
        "0.59",
        "its share of the variance over orders, median over pairs; `finetune`",
        of_gains("predecessor", "finetune"),
        "above",
        0.5,
        unit="",
    ),
    Finding(
        "mechanisms",
        "A method that forgets little does not make contributions steadier, only smaller.",
        "0.14 against 0.47",
        "share of a contribution that is not the order's (signal), `zscl` minus `finetune`",
        minus(of_gains("signal", "zscl"), of_gains("signal", "finetune")),
        "below",
        unit="",
    ),
    Finding(
        "mechanisms",
        "The damage sits in the vision tower.",
        "costs 12.9 points, the text tower 0.7",
        "worth of the vision tower's update, minus that of the text tower's; `finetune`",
        minus(worth_of("vision", "finetune"), worth_of("text", "finetune")),
        "below",
    ),
    Finding(
        "mechanisms",
        "Low rank and distillation leave less than half of the forgetting.",
        "83 % (80 to 87) and 91 % (81 to 99) gone",
        "forgetting as a share of `finetune`'s, mean of `lora` and `zscl`",
        mean_of(*(share(FORGETTING, method, "finetune") for method in ("lora", "zscl"))),
        "below",
        0.5,
        unit="",
    ),
    Finding(
        "mechanisms",
        "Drift of matching pairs is a symptom: replay keeps more of it than of the forgetting.",
        "pairs 0.508 against 0.487, forgetting 4.2 against 21.7",
        "share of `finetune`'s drift that `er` has, minus its share of the forgetting",
        minus(ratio(lost_pairs("er"), lost_pairs("finetune")), share(FORGETTING, "er", "finetune")),
        "above",
        unit="",
    ),
    Finding(
        "mechanisms",
        "Keeping pairs together does not keep tasks: `modx` prevents more of the drift than of the "
        "forgetting.",
        "pairs 0.530 against 0.487, forgetting 16.1 against 21.7",
        "share of `finetune`'s forgetting that `modx` has, minus its share of the drift",
        minus(
            share(FORGETTING, "modx", "finetune"),
            ratio(lost_pairs("modx"), lost_pairs("finetune")),
        ),
        "above",
        unit="",
    ),
    Finding(
        "mechanisms",
        "Interference and erosion come apart: replay prevents more of the first.",
        "84 % of the interference, half of the erosion",
        "share of `finetune`'s zero-shot erosion that `er` has, minus its share of interference",
        minus(
            share(ZERO_SHOT, "er", "finetune"),
            ratio(mode("interference", "er"), mode("interference", "finetune")),
        ),
        "above",
        unit="",
    ),
    *(
        Finding(
            "mechanisms",
            f"T1 of Sekeh and Wisell: the loss on the task before {text} similarity.",
            reported,
            "slope over pairs of tasks, nats per unit; `finetune`",
            effect_on_loss(way, "finetune"),
            claim,
            unit="",
        )
        for way, claim, text, reported in (
            ("image_text", "above", "rises with image-to-text", "3.8 (2.0 to 5.7)"),
            ("text_image", "below", "falls with text-to-image", "falls by 4.1 (1.7 to 6.4)"),
        )
    ),
    # --- contrastive
    Finding(
        "contrastive",
        "T2 of Sekeh and Wisell: a contrastive loss raises the alignment of the task just learnt.",
        "0.538 against 0.517",
        "cosine of matching pairs right after, lambda = 0.5 minus 0",
        minus(pairs_when_learnt("lambda-.5"), pairs_when_learnt("finetune")),
        "above",
        unit="",
    ),
    Finding(
        "contrastive",
        "More of it raises the alignment no further.",
        "0.535 against 0.538",
        "cosine of matching pairs right after, lambda = 5 minus 0.5",
        minus(pairs_when_learnt("lambda-5"), pairs_when_learnt("lambda-.5")),
        "below",
        0.01,
        unit="",
    ),
    Finding(
        "contrastive",
        "The gain does not last.",
        "0.500 against 0.487 in the end",
        "gain of lambda = 0.5 in the end, minus that right after",
        minus(
            minus(mode("pair_cosine", "lambda-.5"), mode("pair_cosine", "finetune")),
            minus(pairs_when_learnt("lambda-.5"), pairs_when_learnt("finetune")),
        ),
        "below",
        unit="",
    ),
    Finding(
        "contrastive",
        "It costs: with much of it, more is forgotten.",
        "6.9",
        "forgetting, lambda = 5 minus 0",
        difference(FORGETTING, "lambda-5", "finetune"),
        "above",
    ),
    # --- similarity
    *(
        Finding(
            "similarity",
            f"For {kind} (`{method}`) the similarity of neighbours does not matter.",
            reported,
            "accuracy of orders with the most similar neighbours, minus the least",
            most_similar_minus_least(ACCURACY, method),
            "within",
            0.01,
        )
        for kind, method, reported in (
            ("regularisation", "ewc", "0.2 (-0.4 to 0.9)"),
            ("replay", "er", "0.0 (-0.9 to 0.9)"),
        )
    ),
    *(
        Finding(
            "similarity",
            f"A stage teaches less among similar neighbours (`{method}`).",
            reported,
            "what a stage gains on its own task, most similar minus least",
            most_similar_minus_least("learning", method),
            "below",
        )
        for method, reported in (("ewc", "-2.1 (-3.7 to -0.4)"), ("er", "-2.0 (-3.9 to -0.1)"))
    ),
    Finding(
        "similarity",
        "With first and last task held fixed, the similarity of neighbours is worth less than two "
        "points to fine-tuning.",
        "-0.8 (-4.7 to 3.1)",
        "accuracy per SD of the similarity of neighbours; `finetune`",
        slope_of_similarity(ACCURACY, "finetune"),
        "within",
        0.02,
    ),
    # --- t3
    *(
        Finding(
            "t3",
            f"{text} for {'fine-tuning' if method == 'finetune' else 'a frozen encoder'}.",
            reported,
            f"accuracy of the proposed order, minus the mean of all; `{method}`",
            proposed(measure, score, method),
            claim,
        )
        for text, measure, score, method, claim, reported in (
            (
                "Theorem T3 of Sekeh and Wisell finds a good order",
                *("image_text", "path_cost", "frozen_head", "above", "2.5 (0.3 to 4.6)"),
            ),
            (
                "T3 finds a bad one",
                *("image_text", "path_cost", "finetune", "below", "-10.2 (-19.2 to -1.1)"),
            ),
            (
                "How well features of a task serve the next (LogME) finds a good order",
                *("logme", "linear_error", "finetune", "above", "9.6 (5.5 to 13.7)"),
            ),
            (
                "Experts tried on other tasks (transfer) find one, too,",
                *("transfer", "linear_error", "finetune", "above", "8.2 (6.5 to 9.9)"),
            ),
        )
    ),
]
