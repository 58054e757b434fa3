"""Looks at everything that a study is given, before anything starts."""

import hashlib
from collections.abc import Iterable, Mapping

from methods.data import Task
from sweep import file_digests
from sweep.errors import InputError
from sweep.plan.plan import Plan
from sweep.registry import resolve
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
    check_methods(plan.study)
    check_measures(plan.study, plan.study.similarity.measures if plan.study.similarity else ())
    check_prompts(plan.study, plan.pinned.sources)


def check_methods(study: Study) -> None:
    """Makes sure that every method can learn every task.

    Raises:
        InputError: a method needs classes, and a task has none.
    """
    needing = [label for label, entry in study.methods.items() if entry.kind.needs_classes]
    if needing:
        _check_classes(study, f"method '{needing[0]}' learns only")


def check_measures(study: Study, names: Iterable[str]) -> None:
    """Makes sure that measures of similarity are defined for every task.

    Raises:
        InputError: a measure needs classes, and a task has none.
    """
    needing = [name for name in names if resolve("measures", name).needs_classes]
    if needing:
        _check_classes(study, f"similarity measure '{needing[0]}' compares only")


def _check_classes(study: Study, what: str) -> None:
    forms = study.benchmark.forms()
    for task in study.benchmark.task_names():
        if not forms[task].has_classes:
            has = "choices of its samples' own" if forms[task].kind == "choices" else "none"
            raise InputError(
                f"{what} tasks with one list of choices for all samples, and task '{task}' (of "
                f"kind {forms[task].kind}) has {has}; leave one of them out."
            )


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
        smoothing = study.training.label_smoothing
        facts = (
            *(source.fingerprint, repr(source.config), smoothing),
            [_facts(task) for task in tasks],
        )
        content = hashlib.sha256(repr(facts).encode()).digest()
        if not file_digests.known(TOLD_APART, [content]):
            _check_readings(study, label, source, tasks)
            file_digests.note(TOLD_APART, [content])


def _facts(task: Task) -> tuple[object, ...]:
    return task.name, task.choices, task.templates, task.form


def _check_texts(task: Task) -> None:
    from methods.backbones.text_reader import same_text

    if pair := same_text(task.choices):
        raise InputError(
            f"task '{task.name}': the choices {pair[0]!r} and {pair[1]!r} are the same text; "
            "rename one."
        )


def _check_readings(study: Study, label: str, source: Source, tasks: list[Task]) -> None:
    # It imports transformers, which takes seconds.
    from methods.backbones.loading import FAMILIES, load_text_reader

    config = source.config
    try:
        reader = load_text_reader(source.location, source.commit, config.family)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].removesuffix(".")
        raise InputError(f"backbone '{label}': {reason}.") from None
    if reader.family == "fusion" and study.training.label_smoothing:
        raise InputError(
            f"training.label_smoothing is for dual encoders, and backbone '{label}' is a fusion "
            "model, which learns an answer word by word; leave it out."
        )
    for task in tasks:
        if refused := FAMILIES[reader.family].refusal(task.form):
            raise InputError(
                f"task '{task.name}' is not for backbone '{label}': {refused}; "
                "use a fusion backbone."
            )
        if found := reader.same(task, config.answer):
            one, other, reason = found
            raise InputError(
                f"task '{task.name}': the choices '{one}' and '{other}' are the same to backbone "
                f"'{label}', because {reason}; rename one, or use another backbone."
            )
