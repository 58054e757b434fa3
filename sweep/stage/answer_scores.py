"""Scores answers that were written against their references.

Every score takes the answers and the references of N samples and gives a number for each, float64
[N], whose mean is the score. All lie in 0..1, but for CIDEr, see there.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rapidfuzz.distance import LCSseq, Levenshtein

from sweep.stage.answer_texts import (
    box_in,
    letter_in,
    number_in,
    plain_text,
    vqa_text,
    words_in,
)

References = Sequence[Sequence[str]]
"""One or more of every sample."""
Gram = tuple[str, ...]
AnswerScore = Callable[[Sequence[str], References], np.ndarray]

_ANLS_THRESHOLD = 0.5
"""Answers that are less similar count as wrong."""
_GRAMS = 4
"""CIDEr compares runs of one to so many words."""
_IOU_RIGHT = 0.5
_RELAXED = 0.05
"""How far, of the right number, an answer about a chart may be off."""


def exact_match(answers: Sequence[str], references: References) -> np.ndarray:
    """Returns 1 where an answer is one of the references.

    Case, repeated white space and a full stop at the end do not count.

    >>> exact_match(["A red  bus."], [["red bus", "a red bus"]])
    array([1.])
    """
    return _per_sample(
        answers,
        references,
        lambda one, those: plain_text(one) in {plain_text(each) for each in those},
    )


def vqa_accuracy(answers: Sequence[str], references: References) -> np.ndarray:
    """Returns the accuracy of VQA: an answer that three of ten people gave is right.

    Antol et al. (ICCV 2015, arXiv 1505.00468) with the averaging of the evaluation's code: the mean
    over the ten people of min(1, how many of the other nine agree / 3). Where there are fewer
    references than four, all of the others have to agree; a single reference has to be met.
    Answers and references are compared after `vqa_text`.

    >>> vqa_accuracy(["Two"], [["2"] * 3 + ["3"] * 7]).round(3)
    array([0.9])
    """

    def share(answer: str, those: Sequence[str]) -> float:
        given, people = vqa_text(answer), [vqa_text(each) for each in those]
        agree = people.count(given)
        if len(people) == 1:
            return float(agree)
        needed = min(3, len(people) - 1)
        # Of those who gave the answer one is left out in turn, or one of the others.
        left_out = [agree - 1] * agree + [agree] * (len(people) - agree)
        return sum(min(1.0, count / needed) for count in left_out) / len(people)

    return _per_sample(answers, references, share)


def anls(answers: Sequence[str], references: References) -> np.ndarray:
    """Returns the normalised Levenshtein similarity to the nearest reference; 0 below one half.

    Biten et al., "Scene Text Visual Question Answering" (ICCV 2019, arXiv 1905.13648). Case and
    repeated white space do not count.

    >>> anls(["Hello", "abc"], [["hallo"], ["xyz"]])
    array([0.8, 0. ])
    """

    def spaced(text: str) -> str:
        return " ".join(text.lower().split())

    def nearest(answer: str, those: Sequence[str]) -> float:
        given = spaced(answer)
        best = max(Levenshtein.normalized_similarity(given, spaced(each)) for each in those)
        return best if best > _ANLS_THRESHOLD else 0.0

    return _per_sample(answers, references, nearest)


def rouge_l(answers: Sequence[str], references: References) -> np.ndarray:
    """Returns the F-measure of the longest common run of words, with gaps; of the best reference.

    Lin, "ROUGE" (2004), with precision and recall weighed alike. Words are letters and digits.

    >>> rouge_l(["the cat sat"], [["the cat sat down"]]).round(3)
    array([0.857])
    """

    def best(answer: str, those: Sequence[str]) -> float:
        given = words_in(answer)
        found = []
        for each in those:
            right = words_in(each)
            total = len(given) + len(right)
            found.append(2 * LCSseq.similarity(given, right) / total if total else 0.0)
        return max(found)

    return _per_sample(answers, references, best)


def cider(answers: Sequence[str], references: References) -> np.ndarray:
    """Returns CIDEr-D of every answer, given the references of all samples.

    Vedantam et al. (CVPR 2015, arXiv 1411.5726), section 4 and "CIDEr-D": the cosine of the
    tf-idf vectors of runs of one to four words, clipped, with a penalty for other lengths; times
    10, and document frequencies from these references. Words are letters and digits. It is not
    bounded by 1; papers print it times 100. As a score its mean is cut at 1; where captions are
    better than that, as those of models trained on COCO can be, `rouge_l` tells them apart.
    """
    given = [_grams(answer) for answer in answers]
    right = [[_grams(each) for each in those] for those in references]
    documents: Counter[Gram] = Counter()
    for those in right:
        documents.update({gram for grams in those for gram in grams})
    log_count = math.log(max(1, len(references)))

    def vectors(grams: Counter[Gram]) -> list[dict[Gram, float]]:
        """Returns a vector per length of grams."""
        by_length: list[dict[Gram, float]] = [{} for _ in range(_GRAMS)]
        for gram, count in grams.items():
            weight = count * (log_count - math.log(max(1, documents[gram])))
            by_length[len(gram) - 1][gram] = weight
        return by_length

    def score(index: int) -> float:
        mine, total = vectors(given[index]), 0.0
        length = _length(given[index])
        for grams in right[index]:
            gap = length - _length(grams)
            penalty = math.exp(-(gap**2) / (2 * 6.0**2))
            total += penalty * sum(map(_clipped_cosine, mine, vectors(grams))) / _GRAMS
        return 10 * total / len(right[index])

    return np.array([score(i) for i in range(len(answers))], float)


def _clipped_cosine(mine: dict[Gram, float], theirs: dict[Gram, float]) -> float:
    product = sum(min(mine[gram], theirs[gram]) * theirs[gram] for gram in mine if gram in theirs)
    lengths = [math.sqrt(sum(w * w for w in vector.values())) for vector in (mine, theirs)]
    return product / (lengths[0] * lengths[1]) if all(lengths) else 0.0


def _grams(text: str) -> Counter[Gram]:
    words = words_in(text)
    return Counter(
        tuple(words[i : i + n]) for n in range(1, _GRAMS + 1) for i in range(len(words) - n + 1)
    )


def _length(grams: Counter[Gram]) -> int:
    """Returns the number of runs of two words, which is how CIDEr's code measures a text."""
    return sum(count for gram, count in grams.items() if len(gram) == 2)


def letter(answers: Sequence[str], references: References) -> np.ndarray:
    """Returns 1 where an answer names the right letter, as in "B", "(b)." or "The answer is B".

    >>> letter(["The answer is B.", "(c)", "a bee"], [["B"], ["C"], ["B"]])
    array([1., 1., 0.])
    """
    return _per_sample(
        answers,
        references,
        lambda one, those: letter_in(one) in {letter_in(each) for each in those} - {""},
    )


def iou(answers: Sequence[str], references: References) -> np.ndarray:
    """Returns intersection over union of the boxes "[x1, y1, x2, y2]"; 0 where there is none.

    >>> iou(["it is at [0, 0, 2, 2]", "no"], [["[1, 0, 3, 2]"], ["[0, 0, 1, 1]"]]).round(3)
    array([0.333, 0.   ])
    """
    return _per_sample(
        answers,
        references,
        lambda one, those: max(_overlap(box_in(one), box_in(each)) for each in those),
    )


def iou_50(answers: Sequence[str], references: References) -> np.ndarray:
    """Returns 1 where intersection over union is one half or more."""
    return (iou(answers, references) >= _IOU_RIGHT).astype(float)


def _overlap(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> float:
    if one is None or other is None:
        return 0.0
    inside = 1.0
    for low, high in ((0, 2), (1, 3)):
        inside *= max(0.0, min(one[high], other[high]) - max(one[low], other[low]))
    areas = [max(0.0, b[2] - b[0]) * max(0.0, b[3] - b[1]) for b in (one, other)]
    union = sum(areas) - inside
    return inside / union if union > 0 else 0.0


def relaxed_accuracy(answers: Sequence[str], references: References) -> np.ndarray:
    """Returns 1 where a number is right within 5 %, or another answer exactly.

    Masry et al., "ChartQA" (2022, arXiv 2203.10244), section 5.1.

    >>> relaxed_accuracy(["104", "105.1", "Red"], [["100"], ["100"], ["red"]])
    array([1., 0., 1.])
    """

    def is_near(answer: str, right: str) -> bool:
        given, wanted = number_in(answer), number_in(right)
        if given is None or wanted is None:
            return plain_text(answer) == plain_text(right)
        return abs(given - wanted) <= _RELAXED * abs(wanted)

    return _per_sample(
        answers, references, lambda one, those: any(is_near(one, each) for each in those)
    )


ANSWER_SCORES: Mapping[str, AnswerScore] = {
    score.__name__: score
    for score in (
        *(exact_match, vqa_accuracy, anls, cider, rouge_l, letter, iou, iou_50, relaxed_accuracy),
    )
}
"""Scores of written answers, by name."""


def never_right(name: str, references: References) -> int:
    """Returns how many samples score 0 even where the answer is one of their references.

    >>> never_right("letter", [["B"], ["a red bus"]])
    1
    """
    best = np.zeros(len(references))
    for k in range(max(map(len, references))):
        answers = [those[min(k, len(those) - 1)] for those in references]
        best = np.maximum(best, ANSWER_SCORES[name](answers, references))
    return int((best == 0).sum())


def applicable(references: References) -> tuple[str, ...]:
    """Returns the scores that make sense for some references.

    >>> applicable([["B"], ["A"]])
    ('exact_match', 'letter')
    >>> applicable([["a red bus", "a bus"], ["two dogs on a lawn"]])
    ('exact_match', 'vqa_accuracy', 'anls', 'rouge_l', 'cider')
    """
    every = [each for those in references for each in those]
    if all(len(each.strip()) == 1 and each.strip().isalpha() for each in every):
        return "exact_match", "letter"
    if all(box_in(each) for each in every):
        return "exact_match", "iou", "iou_50"
    names = ["exact_match", "vqa_accuracy", "anls"]
    if sum(len(words_in(each)) for each in every) > _GRAMS / 2 * len(every):
        names += ["rouge_l", "cider"]
    return tuple(names)


def _per_sample(
    answers: Sequence[str],
    references: References,
    score: Callable[[str, Sequence[str]], float],
) -> np.ndarray:
    return np.array([score(a, r) for a, r in zip(answers, references, strict=True)], float)
