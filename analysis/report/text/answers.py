"""What a reader asks of a study, answered in a sentence each."""

from collections.abc import Sequence

import pandas as pd

from analysis.data.results import Results, load
from analysis.report.report_frames import rows
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.evaluation_sentences import sampling_matters
from analysis.report.text.method_answers import which_method
from analysis.report.text.order_answers import order_effect, worst_orders
from analysis.report.text.phrases import bold, listed
from analysis.report.text.ranking_answers import certainty, next_step, survives
from analysis.report.text.subject import Answer, subjects
from analysis.report.text.task_knowledge import TERMS, marked, named

ANSWERS = (survives, which_method, certainty, order_effect, worst_orders, next_step)
"""What answers the questions of a reader on one backbone, in the order in which they are asked."""

OF_OTHERS = (survives, which_method)
"""What is answered of methods that are told the task, beside others on the same backbone."""


def answers(results: str | Results) -> list[Answer]:
    """Returns what the report of a study opens with: every question of a reader, and its answer.

    Args:
        results: a run folder, as a local path or a URI; or results themselves.

    >>> from analysis import tiny_study
    >>> for answer in answers(tiny_study())[:3]:
    ...     print(answer.question, answer.word)
    Does the ranking survive another task order? On average
    Which method for which need? replay
    How sure is that? 4 replicates
    """
    return answers_of(StudyStatistics(results if isinstance(results, Results) else load(results)))


def answers_of(study: StudyStatistics) -> list[Answer]:
    """Returns the answers for every backbone; if studies are compared, how they differ is first."""
    found = []
    for about in subjects(study):
        asked = ANSWERS if about.is_first else OF_OTHERS
        first, *others = (ask(about) for ask in asked)
        if about.methods and (sampled := sampling_matters(study)):
            first = first._replace(detail=(*first.detail, sampled))
        differ = _studies_differ(study, about.backbone) if about.is_first else []
        found += [
            _marked(answer._replace(backbone=about.backbone, terms=about.terms), study)
            for answer in (*differ, first, *others)
        ]
    return found


def _marked(answer: Answer, study: StudyStatistics) -> Answer:
    """Returns an answer whose methods have their marks, with what these mean if no heading does."""
    mark = named if answer.terms == TERMS[True] else marked
    return answer._replace(
        sentence=mark(answer.sentence, study.told),
        detail=tuple(mark(line, study.told) for line in answer.detail),
    )


def as_table(said: Sequence[Answer]) -> pd.DataFrame:
    """Returns answers as a table, a row each, its details a line each; `said_in` reads them."""
    lines = [answer._asdict() | {"detail": "\n".join(answer.detail)} for answer in said]
    return pd.DataFrame(lines, columns=list(Answer._fields))


def said_in(table: pd.DataFrame) -> list[Answer]:
    """Returns the answers of a table."""
    found = map(Answer._make, rows(table))
    return [answer._replace(detail=tuple(str(answer.detail).splitlines())) for answer in found]


def spoken(answer: Answer, with_backbone: bool = False) -> str:
    """Returns an answer as one line of plain text.

    >>> spoken(Answer("Who?", "lora", "**lora** is the most accurate."))
    'Who? lora. lora is the most accurate.'
    """
    start = f"{answer.about}: " if with_backbone else ""
    return f"{start}{answer.question} {answer.word}. {answer.sentence}".replace("**", "").rstrip()


def _studies_differ(study: StudyStatistics, backbone: str) -> list[Answer]:
    """Returns whether methods of the same name differ between studies that are compared."""
    if not study.twins:
        return []
    question = "Do the studies differ?"
    found = study.between_judged
    found = found[(found["backbone"] == backbone) & (found["metric"] == "average_accuracy")]
    known = found[found["word"] != "not tested"]
    if known.empty:
        return [Answer(question, "Cannot say", "They share too few complete runs to compare.")]
    parts = {
        word: [row.method for row in rows(known[known["word"] == word])]
        for word in ("better", "worse", "undecided", "equivalent")
    }
    changed = len(parts["better"]) + len(parts["worse"])
    if not changed:
        word = "Cannot say" if parts["undecided"] else "No"
    else:
        word = "Yes" if changed == len(known) else "In part"
    said = "; ".join(f"{kind}: {listed(bold(names))}" for kind, names in parts.items() if names)
    return [Answer(question, word, f"On the same orders and seeds, {said}.")]
