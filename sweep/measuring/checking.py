"""Looks at everything that a study is given, before anything starts."""

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from methods import METHODS
from methods.backbones.base import Family
from methods.base import Method, Towers
from methods.data import Task
from sweep import file_digests
from sweep.errors import InputError
from sweep.measuring.building import check_builds
from sweep.orders.order import Order
from sweep.plan.plan import Plan
from sweep.registry import resolve
from sweep.study.backbones import Source
from sweep.study.pinned import Pinned
from sweep.study.schema import MethodEntry, Study

if TYPE_CHECKING:
    from methods.backbones.text_reader import TextReader
    from sweep.stage.diagnostics.base import Diagnostic

TOLD_APART = f"choices are told apart, 2, transformers {version('transformers')}"
"""What is noted about tasks and a backbone; another number checks all again."""


def check_inputs(plan: Plan) -> None:
    """Looks at all data, prompts and methods of a planned study once.

    Raises:
        InputError: some of them cannot be used.
    """
    plan.study.check_data()
    check_methods(plan.study)
    check_samples(plan.study, [run.order for run in plan.runs])
    check_measures(plan.study, plan.study.similarity.measures if plan.study.similarity else ())
    check_diagnostics(plan.study)
    check_prompts(plan.study, plan.pinned.sources)
    check_builds(plan.study, plan.pinned)
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


def check_samples(study: Study, orders: Iterable[Order]) -> None:
    """Makes sure that no method gets more training samples than it can hold.

    Raises:
        InputError: the tasks of an order have more.
    """
    for label, most in samples_compared(study, orders).items():
        entry = study.methods[label]
        limit = entry.kind.most_samples(entry.options)
        if limit is not None and most > limit:
            raise InputError(
                f"method '{label}' compares all training samples of an order with one another, "
                f"which takes {bytes_of_pairs(most) / 1e9:,.0f} GB for {most:,} of them; at most "
                f"{limit:,} are allowed: give tasks fewer `shots`, or choose `form: primal`."
            )


def samples_compared(study: Study, orders: Iterable[Order]) -> dict[str, int]:
    """Returns, by method that has a matrix of all pairs of them, the most samples of an order."""
    methods = [
        label
        for label, entry in study.methods.items()
        if entry.kind.most_samples(entry.options) is not None
    ]
    if not methods:
        return {}
    sizes = {name: len(task.train) for name, task in study.benchmark.load().tasks.items()}
    return dict.fromkeys(methods, max(sum(sizes[task] for task in order) for order in orders))


def bytes_of_pairs(samples: int) -> int:
    """Returns the bytes of a float64 matrix of all pairs of samples."""
    return 8 * samples**2


def check_measures(study: Study, names: Iterable[str]) -> None:
    """Makes sure that measures of similarity are defined for every task.

    Raises:
        InputError: a measure needs classes, and a task has none.
    """
    needing = [name for name in names if resolve("measures", name).needs_classes]
    if needing:
        _check_classes(study, f"similarity measure '{needing[0]}' compares only")


def check_diagnostics(study: Study) -> None:
    """Makes sure that diagnostics have something to say.

    Raises:
        InputError: there are fewer than two tasks with classes to compare, or no method that
            chooses by the sample what belongs to a task.
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
    routing = [name for name in study.evaluation.diagnostics if _of(name).needs_routing]
    if routing and not any(map(_chooses_by_sample, study.methods.values())):
        defaults = {name: MethodEntry.model_validate({"method": name}) for name in METHODS}
        able = [name for name, entry in defaults.items() if _chooses_by_sample(entry)]
        raise InputError(
            f"diagnostic '{routing[0]}' is about methods that find out the task of a sample, and "
            f"this study has none; such are {', '.join(able)}."
        )


def _of(name: str) -> "type[Diagnostic]":
    found: type[Diagnostic] = resolve("diagnostics", name)
    return found


def _chooses_by_sample(entry: MethodEntry) -> bool:
    return not entry.knows_task and entry.kind.routing is not Method.routing


def _comparing(study: Study) -> str | None:
    """Returns a diagnostic of the study that compares the embeddings of tasks, if there is one."""
    names = study.evaluation.diagnostics
    return next((name for name in names if _of(name).needs_embeddings), None)


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
            backbone cannot read a task's questions; or a learnt context leaves texts no room.
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
            _contexts(study),
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


def _contexts(study: Study) -> dict[str, int]:
    """Returns the methods that put learnt tokens in front of texts, and how many."""
    lengths = {label: e.kind.context_length(e.options) for label, e in study.methods.items()}
    return {label: length for label, length in lengths.items() if length}


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
    if reader.family == "dual-encoder":
        for method, length in _contexts(study).items():
            _check_context(reader, label, method, length, tasks)


def _check_context(
    reader: "TextReader", backbone: str, method: str, length: int, tasks: list[Task]
) -> None:
    """Makes sure that a learnt context leaves texts the room that tells choices apart."""
    try:
        room = reader.room(length)
    except ValueError as error:
        raise InputError(f"method '{method}' on backbone '{backbone}': {error}.") from None
    for task in tasks:
        if found := reader.same(task, context=length):
            raise InputError(
                f"method '{method}' puts {length} tokens in front of every text, which leaves "
                f"{room} places of backbone '{backbone}', where the choices '{found[0]}' and "
                f"'{found[1]}' of task '{task.name}' are the same; give it a shorter context, or "
                "leave it out."
            )
