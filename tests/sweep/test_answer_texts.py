"""What is read out of answers: words, numbers, letters and boxes."""

import pytest

from sweep.stage.answer_texts import box_in, letter_in, number_in, plain_text, vqa_text, words_in


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Two", "2"),
        ("none", "0"),
        ("The red bus.", "red bus"),
        ("3.5", "3.5"),
        # The evaluation's pattern takes away every full stop that no digit follows.
        ("3.", "3"),
        ("In 1990.", "in 1990"),
        ("1,000", "1000"),
        ("dont know", "don't know"),
        ("blue/green", "blue green"),
        ("yes!", "yes"),
        ("yes, it is", "yes it is"),
        ("yes,it is", "yes it is"),
        ("t-shirt", "t shirt"),
        ("black\\white", "black white"),
        ("at 10:30", "at 10:30"),
        ("two\nlines", "2 lines"),
    ],
)
def test_answers_are_compared_as_the_evaluation_of_vqa_does(text: str, plain: str) -> None:
    assert vqa_text(text) == plain


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("B", "B"),
        ("b", "B"),
        ("b.", "B"),
        ("(C)", "C"),
        ("(c) a red bus", "C"),
        ("C. a red bus", "C"),
        ("The answer is D.", "D"),
        ("The correct option is (b) because it is red", "B"),
        ("Answer: a", "A"),
        ("It is B.", "B"),
        ("B is the answer", "B"),
        ("A is right", "A"),
        ("A dog is shown in option C", "C"),
        ("D looks right, but the answer is B", "B"),
        ("I choose B", "B"),
        ("I see that it has to be B because it is red", "B"),
        ("I'm sure: B", "B"),
        ("The answer is a dog", ""),
        ("A dog", ""),
        ("because", ""),
        ("a T-shirt", ""),
        ("12", ""),
        ("", ""),
    ],
)
def test_letters(text: str, found: str) -> None:
    assert letter_in(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[0.1, .2, 1, 2.]", (0.1, 0.2, 1.0, 2.0)),
        ("It is at [[10,20,30,-40]], left of [1, 2, 3, 4]", (10.0, 20.0, 30.0, -40.0)),
        ("[1, 2, 3]", None),
        ("[1, 2, 3, 4, 5]", None),
        ("[1, 2, 3, 1e999]", None),
        ("[., ., ., .]", None),
        ("1, 2, 3, 4", None),
    ],
)
def test_boxes(text: str, found: tuple[float, ...] | None) -> None:
    assert box_in(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("1,200.", 1200.0), ("-3.5", -3.5), ("12 %", 0.12), ("nan", None), ("Infinity", None)],
)
def test_numbers(text: str, found: float | None) -> None:
    assert number_in(text) == found


def test_words_are_letters_and_digits_of_any_script() -> None:
    assert words_in("A café_no. 7: a man's") == ["a", "café", "no", "7", "a", "man", "s"]
    assert plain_text(" Un  Café .") == "un café"
