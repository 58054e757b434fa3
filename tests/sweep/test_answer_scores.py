"""Scores of answers against independent libraries and published examples."""

import random

import numpy as np
import pytest
from pycocoevalcap.cider.cider_scorer import CiderScorer
from rouge_score.rouge_scorer import RougeScorer

from sweep.stage import answer_scores
from sweep.stage.answer_scores import ANSWER_SCORES, applicable
from sweep.tasks.base import SCORES_OF

ANSWERS = ["a man riding a wave on a surfboard", "two dogs play in the snow", "a red bus"]
REFERENCES = [
    ["a man is riding a wave on top of a surfboard", "a surfer rides a large wave"],
    ["two dogs are playing in the snow", "dogs run through the snow", "a dog in snow"],
    ["a red double decker bus on the street"],
]
PEOPLE = ["yes"] * 6 + ["no"] * 3 + ["maybe"]


def test_scores_are_those_that_a_study_may_name() -> None:
    assert {*ANSWER_SCORES, "likelihood"} == set(SCORES_OF["answers"])


def samples(seed: int) -> tuple[list[str], list[list[str]]]:
    """Returns answers with one to five references, some of which are met or empty."""
    draw = random.Random(seed)
    words = sorted({word for text in ANSWERS for word in text.split()})

    def text() -> str:
        return " ".join(draw.choice(words) for _ in range(draw.randint(0, 14)))

    references = [[text() for _ in range(draw.randint(1, 5))] for _ in range(60)]
    answers = [draw.choice([text(), those[0], f"{those[-1]} {text()}"]) for those in references]
    return answers + ANSWERS, references + REFERENCES


@pytest.mark.parametrize("seed", range(5))
def test_rouge_l_is_that_of_rouge_score(seed: int) -> None:
    answers, references = samples(seed)
    scorer = RougeScorer(["rougeL"])
    expected = [
        max(scorer.score(each, answer)["rougeL"].fmeasure for each in those)
        for answer, those in zip(answers, references, strict=True)
    ]
    assert answer_scores.rouge_l(answers, references) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_cider_is_that_of_pycocoevalcap(seed: int) -> None:
    answers, references = samples(seed)
    scorer = CiderScorer(n=4, sigma=6.0)
    for answer, those in zip(answers, references, strict=True):
        scorer += (answer, those)
    mean, expected = scorer.compute_score()
    found = answer_scores.cider(answers, references)
    assert found == pytest.approx(expected)
    assert found.mean() == pytest.approx(mean)


def test_captions_of_any_script_are_compared() -> None:
    answers, references = ["un café noir", "deux chiens"], [["un café noir"], ["trois chats"]]
    for score in (answer_scores.rouge_l, answer_scores.cider):
        met, missed = score(answers, references)
        assert met > 0
        assert missed == 0
    assert answer_scores.rouge_l(["café"], [["caf"]]) == 0


@pytest.mark.parametrize(
    ("answer", "score"), [("yes", 1.0), ("no", 0.9), ("maybe", 0.3), ("what", 0.0)]
)
def test_vqa_accuracy_is_the_mean_over_nine_of_ten(answer: str, score: float) -> None:
    # "no": of three people; leaving one of them out two agree, 3/10 x 2/3 + 7/10 x 1 = 0.9.
    assert answer_scores.vqa_accuracy([answer], [PEOPLE]) == pytest.approx([score])


def test_vqa_accuracy_with_few_references() -> None:
    assert answer_scores.vqa_accuracy(["a cat"], [["cat"]]) == pytest.approx([1.0])
    assert answer_scores.vqa_accuracy(["cat"], [["cat", "cat"]]) == pytest.approx([1.0])
    assert answer_scores.vqa_accuracy(["cat"], [["cat", "dog"]]) == pytest.approx([0.5])
    assert answer_scores.vqa_accuracy(["It is 3."], [["it is three"]]) == pytest.approx([1.0])


def test_anls_forgets_what_is_less_than_half_alike() -> None:
    # Levenshtein distances 1 of 5, 3 of 5, 0.
    found = answer_scores.anls(["hallo", "hexyz", "A "], [["hello"], ["hello"], ["b", "a"]])
    assert found == pytest.approx([0.8, 0.0, 1.0])
    # Half alike is not enough; white space between words is not counted.
    assert answer_scores.anls(["ab", "a  b"], [["ax"], ["A b"]]) == pytest.approx([0.0, 1.0])


def test_letters_of_answers_and_references_are_read_alike() -> None:
    answers = ["The answer is B.", "(c)", "a bee", "B", ""]
    right = [["B"], ["C. a bus"], ["B"], ["A", "(B)"], ["none"]]
    assert answer_scores.letter(answers, right).tolist() == [1, 1, 0, 1, 0]


def test_boxes() -> None:
    answers = ["[0, 0, 2, 2]", "[0.0,0.0,1.0,1.0]", "here", "[3, 3, 1, 1]"]
    right = [["[1, 0, 3, 2]"], ["[0, 0, 1, 2]"], ["[0, 0, 1, 1]"], ["[1, 1, 3, 3]"]]
    assert answer_scores.iou(answers, right) == pytest.approx([1 / 3, 0.5, 0, 0])
    assert answer_scores.iou_50(answers, right).tolist() == [0, 1, 0, 0]
    huge = f"[0, 0, {'9' * 200}, {'9' * 200}]"
    assert answer_scores.iou([huge, "[0, 0, 0, 0]"], [[huge], ["[0, 0, 0, 0]"]]).tolist() == [0, 0]


def test_exact_match_takes_any_reference() -> None:
    found = answer_scores.exact_match(
        ["A bus.", "bus", "buses"], [["a bus"], ["car", "Bus"], ["bus"]]
    )
    assert found.tolist() == [1, 1, 0]


def test_relaxed_accuracy() -> None:
    found = answer_scores.relaxed_accuracy(
        ["9.5", "9.4", "50%", "1,000", "NaN", "0.0", "0.1"],
        [["10"]] * 2 + [["0.5"], ["1000"], ["nan"], ["0"], ["0"]],
    )
    assert found.tolist() == [1, 0, 1, 1, 1, 1, 0]


def test_scores_apply_to_what_they_are_about() -> None:
    assert applicable([["[0, 0, 1, 1]"], ["[0.5, 0, 1, 1]"]]) == ("exact_match", "iou", "iou_50")
    assert "cider" not in applicable([["yes"], ["no"]])
    assert "cider" in applicable(REFERENCES)
    assert applicable([["A"], ["b"]]) == ("exact_match", "letter")


@pytest.mark.parametrize("name", ANSWER_SCORES)
def test_every_score_is_a_number_per_sample_in_its_order(name: str) -> None:
    answers = [*ANSWERS, "B", "[0, 0, 1, 1]", "7"]
    references = [*REFERENCES, ["B"], ["[0, 0, 1, 1]"], ["7"]]
    found = ANSWER_SCORES[name](answers, references)
    assert found.shape == (6,)
    assert np.array_equal(ANSWER_SCORES[name](answers[::-1], references[::-1])[::-1], found)
    assert found.min() >= 0
    if name != "cider":
        assert found.max() <= 1
