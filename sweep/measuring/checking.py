"""Looks at everything that a study is given, before anything starts."""

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version

from methods.backbones.base import Family
from methods.base import Towers
from methods.data import Task
from sweep import file_digests
from sweep.errors import InputError
from sweep.plan.plan import Plan
from sweep.registry import resolve
from sweep.study.backbones import Source
from sweep.study.pinned import Pinned
from sweep.study.schema import MethodEntry, Study

TOLD_APART = f"choices are told apart, 2, transformers {version('transformers')}"
"""What is noted about tasks and a backbone; another number checks all again."""


def check_inputs(plan: Plan) -> None:
    """Looks at all data and prompts of a planned study once.

    Raises:
        InputError: some of them cannot be used.
    """
    plan.study.check_data()
    check_methods(plan.study)
    check_measures(plan.study, plan.study.similarity.measures if plan.study.similarity else ())
    check_diagnostics(plan.study)
    check_prompts(plan.study, plan.pinned.sources)
    check_experts(plan.pinned)


def check_experts(pinned: Pinned) -> None:
    """Makes sure that experts fit their backbones; reads no more than headers of their files.

    Raises:
        InputError: one of them does not, or does not hold the same weights as the others.
    """
    if not pinned.experts:
        return
    from methods.backbones.expert_files import check_expert, outline  # imports transformers

    for label, source in pinned.sources.items():
        experts = pinned.of_backbone(label)
        try:
            tower = outline(source.location, source.commit)
            held = {task: check_expert(expert.files, tower) for task, expert in experts.items()}
        except ValueError as error:
            raise InputError(f"backbone '{label}': {error}.") from None
        first, *others = held
        for task in others:
            if differing := sorted(held[task] ^ held[first]):
                raise InputError(
                    f"experts of tasks '{first}' and '{task}' do not hold the same weights: "
                    f"'{differing[0]}' is in one of them alone."
                )


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


def check_diagnostics(study: Study) -> None:
    """Makes sure that diagnostics that compare tasks have two to compare.

    Raises:
        InputError: there are fewer tasks with classes.
    """
    if comparing := _comparing(study):
        forms = study.benchmark.forms()
        known = [task for task in study.benchmark.task_names() if forms[task].has_classes]
        if len(known) < 2:
            raise InputError(
                f"diagnostic '{comparing}' compares tasks with one list of choices for all "
                f"samples, and of this study's tasks {', '.join(known) or 'none'} has one; leave "
                "the diagnostic out."
            )


def _comparing(study: Study) -> str | None:
    """Returns a diagnostic of the study that compares the embeddings of tasks, if there is one."""
    names = study.evaluation.diagnostics
    return next((n for n in names if resolve("diagnostics", n).needs_embeddings), None)


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

    Loads all of a backbone but its weights, which have to be there; not even that where it has
    been done before.

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
        comparing = _comparing(study)
        facts = (
            *(source.fingerprint, repr(source.config), smoothing, comparing),
            study.training.cuts(study.lanes.workers),
            study.training.checkpointing,
            _methods_in_towers(study),
            [_facts(task) for task in tasks],
        )
        content = hashlib.sha256(repr(facts).encode()).digest()
        if not file_digests.known(TOLD_APART, [content]):
            _check_readings(study, label, source, tasks)
            file_digests.note(TOLD_APART, [content])


def check_towers(study: Study, backbone: str, family: Family) -> None:
    """Makes sure that methods have something to learn in the towers that they are left with.

    Args:
        study: Its settings name towers, or options of methods do.
        backbone: A label.
        family: That of the backbone.

    Raises:
        InputError: a method has nothing to learn there.
    """
    for label, (entry, asked) in _methods_in_towers(study).items():
        reached = entry.kind.learns_in(entry.options, family)
        if family == "dual-encoder":
            reached -= {"joint"}  # no more than the temperature, which stays as it is
        if not reached and entry.options.towers:
            raise InputError(f"method '{label}' learns in no tower; leave out its option towers.")
        if reached and reached.isdisjoint(asked):
            raise InputError(
                f"method '{label}' learns in {' and '.join(sorted(reached))} only, on backbone "
                f"'{backbone}', and towers names {' and '.join(sorted(asked))}; add "
                f"{' or '.join(sorted(reached))}, or leave the method out."
            )


def _methods_in_towers(study: Study) -> dict[str, tuple[MethodEntry, Towers]]:
    """Returns methods that learn in other towers than a backbone's own default, and in which."""
    return {
        label: (entry, towers)
        for label, entry in study.methods.items()
        if (towers := study.towers_of(entry))
    }


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
    from methods.backbones.loading import FAMILIES, check_model, load_text_reader

    config = source.config
    try:
        reader = load_text_reader(source.location, source.commit, config.image_size)
        if config.attention or study.training.checkpointing:
            check_model(
                source.location, source.commit, config.attention, study.training.checkpointing
            )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].removesuffix(".")
        raise InputError(f"backbone '{label}': {reason}.") from None
    check_towers(study, label, reader.family)
    if reader.family == "fusion" and study.training.label_smoothing:
        raise InputError(
            f"training.label_smoothing is for dual encoders, and backbone '{label}' is a fusion "
            "model, which learns an answer word by word; leave it out."
        )
    if reader.family == "fusion" and (comparing := _comparing(study)):
        raise InputError(
            f"diagnostic '{comparing}' compares embeddings of images with those of classes, as "
            f"dual encoders do, and backbone '{label}' is a fusion model, which answers in another "
            "way; leave one of them out."
        )
    learnt = study.benchmark.task_names()
    for task in tasks:
        if (
            task.name in learnt
            and FAMILIES[reader.family].contrasts(task)
            and study.training.cuts(study.lanes.workers)
        ):
            raise InputError(
                f"training.micro_batch cuts batches into parts, and backbone '{label}' compares "
                f"the captions of a whole batch of task '{task.name}'; leave out "
                "training.micro_batch, or the task."
            )
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
