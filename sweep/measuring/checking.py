"""Looks at everything that a study is given, before anything starts."""

import hashlib
from collections.abc import Mapping

from methods.data import Task
from sweep import file_digests
from sweep.errors import InputError
from sweep.plan.plan import Plan
from sweep.study.backbones import Source
from sweep.study.schema import Study

TOLD_APART = "choices are told apart, 1"
"""What is noted about tasks and a backbone; another number checks all again."""


def check_inputs(plan: Plan) -> None:
    """Looks at all data and prompts of a planned study once.

    Raises:
        InputError: some of them cannot be used.
    """
    plan.study.check_data()
    check_prompts(plan.study, plan.pinned.sources)


def check_prompts(study: Study, sources: Mapping[str, Source]) -> None:
    """Makes sure that every backbone can tell the choices of every task apart.

    Loads tokenizers, but no weights; not even those where it has been done before.

    Raises:
        InputError: two choices of a task are the same text, or the same to a backbone; or a
            backbone cannot read a task's questions.
    """
    outline = study.benchmark.outline()
    tasks = [*outline.tasks.values(), *outline.probes.values()]
    for task in tasks:
        _check_texts(task)
    for label, source in sources.items():
        facts = source.fingerprint, repr(source.config), [_facts(task) for task in tasks]
        content = hashlib.sha256(repr(facts).encode()).digest()
        if not file_digests.known(TOLD_APART, [content]):
            _check_readings(label, source, tasks)
            file_digests.note(TOLD_APART, [content])


def _facts(task: Task) -> tuple[object, ...]:
    return task.name, task.choices, task.templates, _has_questions(task)


def _has_questions(task: Task) -> bool:
    return task.train.questions is not None or task.test.questions is not None


def _check_texts(task: Task) -> None:
    from methods.backbones.text_reader import same_text

    if pair := same_text(task.choices):
        raise InputError(
            f"task '{task.name}': the choices {pair[0]!r} and {pair[1]!r} are the same text; "
            "rename one."
        )


def _check_readings(label: str, source: Source, tasks: list[Task]) -> None:
    # It imports transformers, which takes seconds.
    from methods.backbones.loading import load_text_reader

    config = source.config
    try:
        reader = load_text_reader(source.location, source.commit, config.family)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].removesuffix(".")
        raise InputError(f"backbone '{label}': {reason}.") from None
    for task in tasks:
        if reader.family == "dual-encoder" and _has_questions(task):
            raise InputError(
                f"task '{task.name}' has a question per sample, which backbone '{label}' cannot "
                "read, because it is a dual encoder; use a fusion backbone."
            )
        if found := reader.same(task, config.answer):
            one, other, reason = found
            raise InputError(
                f"task '{task.name}': the choices '{one}' and '{other}' are the same to backbone "
                f"'{label}', because {reason}; rename one, or use another backbone."
            )
