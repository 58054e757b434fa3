"""Checks everything about a study: the first thing to do with one."""

import math
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from methods.backbones.pretrained import PretrainedBackbone
from sweep.cache import CACHE, PLACE
from sweep.errors import InputError
from sweep.measuring.checking import (
    bytes_of_pairs,
    check_measures,
    check_methods,
    check_prompts,
    check_samples,
    samples_compared,
)
from sweep.measuring.measure import make_plan
from sweep.plan.plan import Plan
from sweep.preview import machine
from sweep.preview.checkup import Checkup
from sweep.preview.data_check import check_data
from sweep.preview.preview import Preview, make_preview
from sweep.preview.prompt_check import PromptsRead, read_prompts
from sweep.preview.trying_out import TriedOut, Untouched, try_out
from sweep.storage.lock import RunLock
from sweep.storage.run_folder import RunFolder
from sweep.study.backbones import Source, find_source
from sweep.study.schema import Lanes, Study
from sweep.tasks.base import Benchmark
from sweep.texts import plural, size

EXAMPLES = 3
"""Words or choices that a note names."""
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_ERRORS = 2.0
"""Standard errors above chance from which a backbone knows something about a task."""


def check_study(
    study: Study | str | Path, out: str | None = None, overrides: tuple[str, ...] = ()
) -> Checkup:
    """Checks a study in every respect before it runs, and finds all problems at once.

    Tries every method for a few steps on a few images. Writes nothing to the run folder.

    Args:
        study: A study, its file, or the name of a shipped one.
        out: Folder or URI of the run; "runs/NAME" by default.
        overrides: "key.path=value" texts that change keys of a file.

    >>> found = check_study("quickstart", overrides=("training.step=5", "replicates=0"))
    >>> for problem in found.problems:
    ...     print(problem)
    quickstart: replicates: must be greater than or equal to 1, got 0.
    quickstart: training: Unknown key 'step'; ... Did you mean 'steps'?
    """
    checkup = Checkup()
    checkup.about("Study")
    if not isinstance(study, Study):
        for problem in Study.problems(study, overrides):
            checkup.add("problem", problem)
        if checkup.problems:
            return checkup
        study = Study.load(study, overrides)
    study, out = study.anew(), out or f"runs/{study.name}"
    checkup.add(
        "ok",
        f"'{study.name}': methods {', '.join(study.methods)}; backbones "
        f"{', '.join(study.backbones)}; design '{study.design.name}'; replicates "
        f"{study.replicates}.",
    )
    benchmark = check_data(study, checkup)
    images, fits = _check_models(study, benchmark, checkup)
    plan = None
    checkup.about("Training")
    with checkup.catching():
        plan = make_plan(study)
    if plan and benchmark and fits and _fit_methods(plan, checkup):
        _check_plan(plan, out, images, checkup)
    if plan:
        _check_folder(plan, out, checkup)
    _check_machine(study.lanes, checkup)
    return checkup


def _check_models(study: Study, benchmark: Benchmark | None, checkup: Checkup) -> tuple[int, bool]:
    """Adds what is found about backbones and prompts.

    Returns:
        The size of all prepared images, and whether every backbone can learn tasks of these kinds.
    """
    checkup.about("Models")
    backbones: dict[str, PretrainedBackbone] = {}
    total, fits = 0, True
    for label, config in study.backbones.items():
        with checkup.catching():
            source = find_source(config)
            where = _where(source)
            backbone = source.load()
            if not isinstance(backbone, PretrainedBackbone):
                continue
            backbones[label] = backbone
            height, width = backbone.preprocessor.resolution
            weights = sum(p.numel() for p in backbone.parameters())
            checkup.add(
                "ok",
                f"'{label}': {backbone.family}, {weights:,} parameters, images of "
                f"{height} x {width}; {where}.",
            )
            if benchmark:
                total += _num_images(benchmark) * 3 * height * width
    if benchmark:
        checkup.about("Prompts")
        for label, backbone in backbones.items():
            for task in (*benchmark.tasks.values(), *benchmark.probes.values()):
                if backbone.refusal(task.form):
                    fits = False
                    continue
                found = read_prompts(backbone, task)
                _add_prompts(f"'{task.name}' for '{label}'", found, task.choices, checkup)
            with checkup.catching():
                check_prompts(study, {label: find_source(study.backbones[label])})
    return total, fits


def _fit_methods(plan: Plan, checkup: Checkup) -> bool:
    """Returns whether methods and measures suit these tasks; adds what is wrong if not."""
    study = plan.study
    with checkup.catching():
        check_methods(study)
        check_samples(study, [run.order for run in plan.runs])
        check_measures(study, study.similarity.measures if study.similarity else ())
        return True
    return False


def _where(source: Source) -> str:
    if source.commit is None:
        return f"files of {source.location}, SHA-256 {source.fingerprint[:12]}"
    cached = any(
        isinstance(try_to_load_from_cache(source.location, file, revision=source.commit), str)
        for file in _WEIGHTS
    )
    there = "in the cache, so it needs no network" if cached else "was not in the cache"
    return f"commit {source.commit[:12]} of {source.location}, {there}"


def _num_images(benchmark: Benchmark) -> int:
    tasks = benchmark.tasks.values()
    count = sum(len(task.train.pictures) + len(task.test.pictures) for task in tasks)
    return count + sum(len(probe.test.pictures) for probe in benchmark.probes.values())


def _add_prompts(what: str, found: PromptsRead, choices: tuple[str, ...], checkup: Checkup) -> None:
    room = f" of {found.room}" if found.room else ""
    checkup.add(
        "ok",
        f'{what}: "{found.example}" and {found.num_texts - 1:,} more, at most '
        f"{found.longest}{room} tokens" + (f"; choices: {_some(choices)}." if choices else "."),
    )
    if found.cut:
        checkup.add(
            "note",
            f"{what}: {len(found.cut):,} texts are longer than {found.room} tokens, and what is "
            f'beyond is not read, such as in "{found.cut[0]}".',
        )
    if found.unknown:
        checkup.add(
            "note",
            f"{what}: the model does not know {plural(len(found.unknown), 'word')}: "
            f"{_some(found.unknown)}.",
        )


def _some(words: tuple[str, ...]) -> str:
    shown = ", ".join(f"'{word}'" for word in words[:EXAMPLES])
    return shown + (", ..." if len(words) > EXAMPLES else "")


def _check_plan(plan: Plan, out: str, images: int, checkup: Checkup) -> None:
    failed: list[str] = []
    tried = try_out(plan, failed.append)
    for problem in failed:
        checkup.add("problem", problem)
    if failed:
        return
    preview = _preview(plan, out, tried)
    if not preview:
        return
    checkup.add("ok", preview.sentence())
    checkup.add("ok", preview.balance())
    if plan.study.replicates == 1:
        checkup.add(
            "note",
            "With one replicate there are no intervals: nothing tells a seed from the mean over "
            "seeds. Set replicates to 3 or more to compare methods.",
        )
    _check_start(plan, tried, checkup)
    _check_memory(preview, tried, checkup)
    _check_disk(preview, out, images, checkup)


def _preview(plan: Plan, out: str, tried: TriedOut) -> Preview | None:
    """Returns what `sweep plan` would show; None where data or prompts stop it, too."""
    with suppress(InputError):
        return make_preview(plan, out, tried.costs)
    # What is wrong with the run folder has a topic of its own, and so have data and prompts.
    with suppress(InputError), tempfile.TemporaryDirectory() as folder:
        return make_preview(plan, folder, tried.costs)
    return None


def _check_start(plan: Plan, tried: TriedOut, checkup: Checkup) -> None:
    """Adds how much of the tasks the untouched backbones know."""
    for label in plan.study.backbones:
        seen = {
            task: found for (backbone, task), found in tried.untouched.items() if backbone == label
        }
        metrics = {found.metric for found in seen.values()}
        what, noun = "Scores", "samples"
        if len(metrics) == 1:
            what, noun = metrics.pop().capitalize().replace("_", " "), "images"
        listed = ", ".join(
            f"{task} {found.score:.2f}" + (f" ({found.metric})" if what == "Scores" else "")
            for task, found in seen.items()
        )
        checkup.add("ok", f"{what} of '{label}', untouched, on some test {noun}: {listed}.")
        if silent := [
            task for task, found in seen.items() if found.chance is None and not found.score
        ]:
            checkup.add(
                "note",
                f"'{label}' gives no right answer on {', '.join(silent)}: look at its questions.",
            )
        if low := [task for task, found in seen.items() if is_chance(found)]:
            checkup.add(
                "note",
                f"'{label}' is no better than chance on {', '.join(low)}: look at its prompts, "
                f"or expect that there is nothing to forget there.",
            )


def is_chance(found: Untouched) -> bool:
    """Returns whether guessing might score as much on so many test samples.

    >>> is_chance(Untouched(0.30, "accuracy", 100, 1 / 4))
    True
    >>> is_chance(Untouched(0.35, "accuracy", 100, 1 / 4))
    False
    """
    if found.chance is None:
        return False
    spread = math.sqrt(found.chance * (1 - found.chance) / found.n)
    return found.score < found.chance + _ERRORS * spread


def _check_memory(preview: Preview, tried: TriedOut, checkup: Checkup) -> None:
    checkup.about("Memory")
    free = machine.free_memory()
    if not tried.peaks or free is None:
        checkup.add("note", "This system does not say how much memory is taken.")
        return
    # Of the few samples that methods are tried out on there are next to no pairs.
    compared = samples_compared(preview.plan.study, [run.order for run in preview.plan.runs])
    pairs = {label: 2 * bytes_of_pairs(count) for label, count in compared.items()}
    peaks = {names: peak + pairs.get(names[1], 0) for names, peak in tried.peaks.items()}
    (backbone, method), peak = max(peaks.items(), key=lambda item: item[1])
    weights, trained = tried.weights[backbone, method]
    lanes, lane = preview.lanes, preview.plan.study.lanes
    is_elsewhere = _gpus(lane) > machine.num_gpus()
    if machine.num_gpus():
        share = lane.gpus_per_worker if isinstance(lane.gpus_per_worker, float) else 1.0
        processes, where = max(1, int(1 / share)) if share else 1, "on one GPU"
    else:
        processes, where = lanes * lane.workers, "on this machine"
    needed = peak * processes
    rest = max(0, peak - weights - 3 * trained - pairs.get(method, 0))
    compares = f"{size(pairs[method])} for all pairs of samples, " if method in pairs else ""
    checkup.add(
        "ok",
        f"A process takes up to {size(peak)}, with method '{method}' on '{backbone}': weights "
        f"{size(weights)}, gradients {size(trained)}, AdamW's moments {size(2 * trained)}, "
        f"{compares}and {size(rest)} for activations, images and libraries.",
    )
    said = f"{processes} processes {where} take {size(needed)}; {size(free)} are free"
    if is_elsewhere:
        checkup.add(
            "note", "This machine lacks the GPUs of a lane; whether that fits is not known."
        )
    elif needed > free:
        hint = "Set lanes.count to fewer lanes, or training.batch_size to a smaller number"
        if 2 * pairs.get(method, 0) > peak:
            hint = "Give tasks fewer `shots`, or choose `form: primal`"
        checkup.add("problem", f"{said}. {hint}.")
    else:
        checkup.add("ok", f"{said}.")


def _check_disk(preview: Preview, out: str, images: int, checkup: Checkup) -> None:
    checkup.about("Disk")
    states = preview.expected.peak_state_bytes
    if "://" in out:
        checkup.add("note", f"States take up to {size(states)} in {out}; its room is not known.")
    else:
        _compare("States", states, machine.free_disk(out), out, "keep_states to none", checkup)
    prepared = sum(file.stat().st_size for file in CACHE.glob("*.npy"))
    room = machine.free_disk(CACHE) + prepared
    remedy = f"{PLACE} to a folder on a larger disk"
    _compare("Prepared images", images, room, str(CACHE), remedy, checkup)


def _compare(what: str, needed: int, free: int, where: str, remedy: str, checkup: Checkup) -> None:
    said = f"{what} take up to {size(needed)} in {where}, where {size(free)} are free"
    if needed > free:
        checkup.add("problem", f"{said}; set {remedy}.")
    else:
        checkup.add("ok", f"{said}.")


def _check_folder(plan: Plan, out: str, checkup: Checkup) -> None:
    checkup.about("Run folder")
    run_folder = RunFolder(out, plan)
    with checkup.catching():
        RunLock(run_folder.folder).check()
    with checkup.catching():
        run_folder.check()
        finished = run_folder.store.finished(plan.units)
        done = sum(kept.has_scores for key, kept in finished.items() if key in plan.units)
        if done:
            said = f"{done} of {len(plan.units)} stages are finished in it; the run goes on."
        else:
            said = "a new run starts in it."
        checkup.add("ok", f"{run_folder.folder.uri}: {said}")


def _check_machine(lanes: Lanes, checkup: Checkup) -> None:
    checkup.about("Machine")
    checkup.add("ok", machine.devices())
    gpus = _gpus(lanes)
    cores = os.cpu_count() or 1
    said = f"A lane takes {lanes.cpus_per_worker * lanes.workers:g} of the CPU cores"
    said += f" and {gpus:g} of the GPUs"
    # Ray is started with more CPUs than there are if a number of lanes asks for them.
    has_cores = isinstance(lanes.count, int) or lanes.cpus_per_worker * lanes.workers <= cores
    if has_cores and gpus <= machine.num_gpus():
        checkup.add("ok", f"{said}.")
    else:
        # No problem of a study for a cluster; without --address `sweep run` says so at once.
        checkup.add(
            "note",
            f"{said}, and this machine has {cores} and {machine.num_gpus()}: run it on a cluster "
            "(--address), or reduce lanes.cpus_per_worker, gpus_per_worker or workers.",
        )
    checkup.add("ok", machine.versions())


def _gpus(lanes: Lanes) -> float:
    """Returns how many GPUs a lane takes; "auto" is resolved as on this machine."""
    each = lanes.gpus_per_worker
    return lanes.workers * (float(machine.num_gpus() > 0) if isinstance(each, str) else each)
