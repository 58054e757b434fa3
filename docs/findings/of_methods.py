"""The findings of methods/README.md, each with the quantity that decides it."""

import math

from findings.quantities import best_of_a_run, difference, last_minus_first, share, spread
from findings.studies import Finding

ACCURACY, FORGETTING = "average_accuracy", "forgetting_max"
ZERO_SHOT = "zero_shot_erosion"
GOOD = ("zscl", "dual_teacher", "ewc", "mas", "si", "lora")

FINDINGS = [
    # --- methods
    *(
        Finding(
            "methods",
            f"{text} (`{method}`) makes the order matter less than half as much.",
            f"{reported} against 8.4",
            "SD over orders, relative to `finetune`'s",
            spread(method, "finetune"),
            "below",
            math.log(0.5),
            unit="times",
        )
        for text, method, reported in (
            ("Distillation", "zscl", "2.4"),
            ("Measuring what matters", "ewc", "1.8"),
            ("Replay", "er", "2.1"),
        )
    ),
    Finding(
        "methods",
        "The good methods end above independent experts or within two points of them.",
        "76.2 to 79.6 against 78.1",
        f"accuracy, mean of {', '.join(f'`{method}`' for method in GOOD)}, minus `individual`",
        difference(ACCURACY, list(GOOD), "individual"),
        "above",
        -0.02,
    ),
    Finding(
        "methods",
        "Among the best the order decides: the best on average wins fewer than half of the runs.",
        "29 %",
        "share of the runs that it wins",
        best_of_a_run(),
        "below",
        0.5,
        unit="",
    ),
    Finding(
        "methods",
        "Half of the learning rate makes fine-tuning better.",
        "70.5 against 60.3",
        "accuracy, half of the rate minus the whole",
        difference(ACCURACY, "finetune-lr5e-4", "finetune"),
        "above",
    ),
    Finding(
        "methods",
        "It does as much as `lwf`, `modx` or `weight_ensemble` do.",
        "70.5 against 69.8, 68.5 and 69.4",
        "accuracy of `finetune` at half of the rate, minus the mean of the three",
        difference(ACCURACY, "finetune-lr5e-4", ["lwf", "modx", "weight_ensemble"]),
        "above",
        -0.01,
    ),
    Finding(
        "methods",
        "Replay of real samples loses more zero-shot ability than distillation on captions does.",
        "6.4 against 0.5",
        "zero-shot erosion, `er` minus `zscl`",
        difference(ZERO_SHOT, "er", "zscl"),
        "above",
    ),
    Finding(
        "methods",
        "A balanced memory is better than a reservoir.",
        "1.2 (-0.3 to 2.7)",
        "accuracy, `er` minus `er-reservoir`",
        difference(ACCURACY, "er", "er-reservoir"),
        "above",
    ),
    *(
        Finding(
            "methods",
            text,
            reported,
            f"forgetting of `{method}` as a share of `finetune`'s",
            share(FORGETTING, method, "finetune"),
            "below",
            0.22,
            unit="",
        )
        for text, method, reported in (
            ("Enhanced EWC forgets 78 % less, as claimed.", "mm-lean", "96 % (93 to 98) less"),
            ("Plain EWC does, too.", "ewc", "90 % (88 to 93) less"),
        )
    ),
    Finding(
        "methods",
        "It is the vision tower that has to be protected.",
        "16.1 against 1.5",
        "forgetting, vision tower free minus text tower free",
        difference(FORGETTING, "mm-without-vision", "mm-without-text"),
        "above",
    ),
    *(
        Finding(
            "methods",
            text,
            f"77.7 against {reported}",
            "accuracy with it minus without",
            difference(ACCURACY, "multimodal_ewc", method),
            "within",
            0.01,
        )
        for text, method, reported in (
            (
                "The consistency loss of enhanced EWC does nothing.",
                "mm-without-consistency",
                "78.0",
            ),
            ("Its drift weights do nothing.", "mm-without-drift", "77.6"),
        )
    ),
    Finding(
        "methods",
        "What is learnt last is forgotten least.",
        "",
        "final accuracy on the last task, minus the first; `finetune`",
        last_minus_first("finetune"),
        "above",
    ),
    # --- pam
    Finding(
        "pam",
        "At the same learning rate PAM is steadier than sequential LoRA.",
        "0.25 (0.20 to 0.32)",
        "SD over orders, relative to `finetune-lr5e-3`'s",
        spread("pam", "finetune-lr5e-3"),
        "below",
        unit="times",
    ),
    Finding(
        "pam",
        "At the same learning rate it is more accurate.",
        "5.7 points (5.2 to 6.2)",
        "accuracy, `pam` minus `finetune-lr5e-3`",
        difference(ACCURACY, "pam", "finetune-lr5e-3"),
        "above",
    ),
    Finding(
        "pam",
        "Sequential LoRA at a lower rate is steadier, too.",
        "0.29 (0.22 to 0.39)",
        "SD over orders, rate 2e-3 relative to 5e-3",
        spread("finetune", "finetune-lr5e-3"),
        "below",
        unit="times",
    ),
    Finding(
        "pam",
        "What is left of PAM's advantage is less than two points.",
        "0.9 points of accuracy (0.5 to 1.3)",
        "accuracy, `pam` minus `finetune` (rate 2e-3)",
        difference(ACCURACY, "pam", "finetune"),
        "within",
        0.02,
    ),
    Finding(
        "pam",
        "The plain average of experts, which knows no order, is less accurate than PAM.",
        "73.4 against 75.0",
        "accuracy, `average` minus `pam`",
        difference(ACCURACY, "average", "pam"),
        "below",
    ),
    *(
        Finding(
            "pam",
            f"The scale of `{method}` does not carry over: it ends below the untouched model.",
            f"{reported} against 69.0",
            f"accuracy, `{method}` minus `zero_shot`",
            difference(ACCURACY, method, "zero_shot"),
            "below",
        )
        for method, reported in (("ties", "63.3"), ("magmax", "58.1"))
    ),
    # --- pam-ablation
    *(
        Finding(
            "pam-ablation",
            text,
            reported,
            f"accuracy, `{method}` minus `pam`",
            difference(ACCURACY, method, "pam"),
            claim,
            bound,
        )
        for text, method, claim, bound, reported in (
            ("Without averaging much is lost.", "finetune", "below", 0.0, "-6.2 (-8.1 to -4.2)"),
            ("Alignment adds nothing.", "p-0", "within", 0.01, "-0.0 (-0.2 to 0.1)"),
            (
                "How often it aligns does not matter.",
                *("every-24", "within", 0.01, "0.0 (-0.0 to 0.1)"),
            ),
            (
                "What a reset goes to does not matter.",
                *("to-global", "within", 0.01, "-0.1 (-0.3 to 0.1)"),
            ),
            (
                "Whether momentum is forgotten does not matter.",
                *("momentum", "within", 0.01, "-0.0 (-0.1 to 0.1)"),
            ),
            ("Aligning everything costs accuracy.", "p-1", "below", 0.0, "-0.3 (-0.5 to -0.2)"),
            (
                "Equal weight for all tasks costs accuracy.",
                *("mean", "below", 0.0, "-0.7 (-1.3 to -0.1)"),
            ),
        )
    ),
    Finding(
        "pam-ablation",
        "Equal weight for all tasks leaves less forgetting.",
        "-0.6 against -2.3",
        "backward transfer, `mean` minus `pam`",
        difference("bwt", "mean", "pam"),
        "above",
    ),
]
