"""Writes the model card of an exported folder."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData

from methods.data import Task
from methods.tools.model_folders import Learnt
from sweep.exporting.learnt_again import BroughtBack
from sweep.exporting.planned_stage import PlannedStage
from sweep.orders.order import write_order
from sweep.study.backbones import Source
from sweep.texts import plural

PIPELINES = {"dual-encoder": "zero-shot-image-classification", "fusion": "image-text-to-text"}
_TAGS = ["continual-learning", "vision-language", "task-order-sweep"]
_MOST_TEMPLATES = 3

_CARD = """\
---
{metadata}
---

# {title}

{what}

## What it is

{facts}

## Scores

{scores}

## Use

```python
{code}
```
{prompts}
## Made by

```
{command}
```

{made}
"""


def card(
    stage: PlannedStage, learnt: BroughtBack, source: Source, written: Learnt, folder: Path
) -> str:
    """Returns the text of README.md.

    Args:
        stage: What was exported.
        learnt: How it was brought back.
        source: The backbone that it was trained from.
        written: What is in the folder.
        folder: Where it is.
    """
    title = f"{stage.run.method} after {' > '.join(stage.prefix)}"
    family = learnt.trainer.backbone.family
    base = source.config.path + (f" (revision {source.commit})" if source.commit else "")
    form = f"low-rank adapter (rank {written.rank}) for" if written.rank else "model, trained from"
    return _CARD.format(
        metadata=_metadata(stage, source, written, PIPELINES[family], title),
        title=title,
        what=f"A {form} `{base}`: what method `{stage.run.method}` of study `{stage.study.name}` "
        f"predicts with once it has learnt {plural(len(stage.prefix), 'task')} one after the other."
        + _for_one_task(stage, learnt),
        facts=_table(["", ""], _facts(stage, base)),
        scores=_scores(stage, learnt),
        code=_code(source, written, type(learnt.trainer.backbone.model).__name__, folder),
        prompts=_prompts({name: learnt.trainer.benchmark.tasks[name] for name in stage.prefix}),
        command=_command(stage, folder),
        made=_made(learnt),
    )


def _metadata(
    stage: PlannedStage, source: Source, written: Learnt, pipeline: str, title: str
) -> str:
    scores = stage.study.evaluation.task_scores(stage.record.scores)
    metrics = stage.study.evaluation.scores_in(stage.record.scores)
    results = [
        EvalResult(
            task_type=pipeline,
            dataset_type=stage.study.benchmark.name,
            dataset_name=task,
            dataset_config=task,
            dataset_split="test",
            metric_type=metrics["task", task],
            metric_value=value,
        )
        for task, value in scores.items()
        if task in stage.prefix
    ]
    # The hub knows a base model by its id alone.
    relation = "adapter" if written.rank else "finetune"
    data = ModelCardData(
        library_name="peft" if written.rank else "transformers",
        pipeline_tag=pipeline,
        tags=[*_TAGS, *(["lora"] if written.rank else [])],
        model_name=title,
        eval_results=results,
        base_model=source.config.path if source.commit else None,
        base_model_relation=relation if source.commit else None,
    )
    return str(data.to_yaml()).strip()


def _for_one_task(stage: PlannedStage, learnt: BroughtBack) -> str:
    if not learnt.trainer.knows_task:
        return ""
    return f" The method uses it for data of task `{stage.prefix[-1]}` alone."


def _facts(stage: PlannedStage, base: str) -> list[list[str]]:
    run, training = stage.run, stage.study.training.model_dump(mode="json")
    options = stage.method.options.model_dump(mode="json")
    return [
        ["base model", f"`{base}`"],
        ["method", f"`{stage.method.method}`"],
        ["options", f"`{_flow(options)}`"],
        ["training", f"`{_flow(training)}`"],
        ["benchmark", f"`{stage.study.benchmark.name}`"],
        ["order", " > ".join(run.order)],
        ["stage", f"{stage.number} of {len(run.order)}: after {' > '.join(stage.prefix)}"],
        ["replicate", f"{run.replicate} (seed {run.seed})"],
    ]


def _flow(options: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in options.items() if value not in (None, {})}
    return yaml.safe_dump(shown, default_flow_style=True, width=10**6, sort_keys=False).strip()


def _scores(stage: PlannedStage, learnt: BroughtBack) -> str:
    """Returns the scores on test samples, as the run has recorded them."""
    evaluation = stage.study.evaluation
    now, metrics = (
        evaluation.task_scores(stage.record.scores),
        evaluation.scores_in(stage.record.scores),
    )
    before = evaluation.task_scores(stage.untouched.scores) if stage.untouched else {}
    if learnt.trainer.knows_task:
        now = {task: value for task, value in now.items() if task == stage.prefix[-1]}
    rows = [
        [
            task,
            "yes" if task in stage.prefix else "no",
            metrics["task", task],
            f"{before[task]:.3f}" if task in before else "",
            f"{value:.3f}",
        ]
        for task, value in now.items()
    ]
    if not rows:
        return "The run did not evaluate this stage."
    said = (
        f"Of the run, on test samples; classes offered: `evaluation.choices: {evaluation.choices}`."
    )
    return f"{said}\n\n" + _table(["task", "learnt", "score", "untouched", "now"], rows)


def _code(source: Source, written: Learnt, model_class: str, folder: Path) -> str:
    """Returns how to load the folder."""
    base = repr(source.config.path if source.commit else source.location)
    where = f"{base}, revision={source.commit!r}" if source.commit else base
    if not written.rank:
        return (
            f"from transformers import {model_class}, AutoProcessor\n\n"
            f"model = {model_class}.from_pretrained({str(folder)!r}).eval()\n"
            f"processor = AutoProcessor.from_pretrained({str(folder)!r})"
        )
    return (
        f"from peft import PeftModel\nfrom transformers import {model_class}, AutoProcessor\n\n"
        f"base = {model_class}.from_pretrained({where})\n"
        f"model = PeftModel.from_pretrained(base, {str(folder)!r}).eval()\n"
        f"processor = AutoProcessor.from_pretrained({where})"
    )


def _prompts(tasks: Mapping[str, Task]) -> str:
    """Returns how images were asked about, which whoever predicts the same has to know."""
    rows = []
    for name, task in tasks.items():
        shown = [f"`{template}`" for template in task.templates[:_MOST_TEMPLATES]]
        if len(task.templates) > _MOST_TEMPLATES:
            shown.append(f"and {len(task.templates) - _MOST_TEMPLATES} more")
        rows.append([name, ", ".join(shown), f"`{task.question}`" if task.question else ""])
    table = _table(["task", "classes are called (dual encoders)", "asked (fusion models)"], rows)
    return f"\nWhat was said beside the images:\n\n{table}\n"


def _command(stage: PlannedStage, folder: Path) -> str:
    run = stage.run
    words = ["sweep", "export", stage.store.folder.uri, "--method", run.method]
    words += ["--order", write_order(run.order), "--stage", str(stage.number)]
    words += ["--replicate", str(run.replicate), "--backbone", run.backbone, "--to", str(folder)]
    return shlex.join(words)


def _made(learnt: BroughtBack) -> str:
    if not learnt.trained:
        return "From the state that the run has kept."
    again = f"By training {plural(learnt.trained, 'stage')} again, whose states were not kept"
    if learnt.differing:
        return (
            f"{again}: not bit for bit what the run had, as on other hardware or with other "
            "packages sums round otherwise. Scores may differ slightly from those above."
        )
    return f"{again}."


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", "\\n") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
