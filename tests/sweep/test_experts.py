"""Experts of others in the place of trainings: what is merged is what stands in their files."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel, CLIPVisionModel

from methods.testing.toy import TOY, toy_study
from sweep.cli.exit_codes import EXIT_INPUT
from sweep.cli.main import main
from sweep.errors import InputError
from sweep.measuring.checking import check_inputs
from sweep.measuring.measure import make_plan
from sweep.plan.plan import Plan
from sweep.preview.preview import make_preview
from sweep.storage.run_folder import dump
from sweep.study.expert_sources import find_expert
from sweep.study.schema import Study
from tests.sweep.made_experts import (
    Bench,
    as_on_the_hub,
    change_config,
    change_tensors,
    save_adapters,
    save_towers,
)

# peft asks models for something that transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
TASKS = "abc"
MERGING = ("individual", "average", "task_arithmetic", "ties", "dare", "magmax", "randmix", "opcm")
MASKED = ("consensus", "tall", "condu", "condu_once")


def study_of(models: Path, path: str, *methods: str, **changes: Any) -> Study:
    experts = {"path": path} | changes.pop("experts", {})
    chosen = methods or ("individual", "task_arithmetic")
    return toy_study(models, methods=chosen, **{"experts": experts} | changes)


def scores(rows: Any, task: str) -> list[tuple[str, float]]:
    return [(row["metric"], row["value"]) for row in rows if row["eval_task"] == task]


@pytest.mark.parametrize("hub", [False, True], ids=["as saved now", "as on the hub"])
def test_task_arithmetic_adds_what_stands_in_the_files(
    models: Path, tmp_path: Path, hub: bool
) -> None:
    path = save_towers(models / "clip", tmp_path, TASKS)
    files = {task: load_file(tmp_path / f"x_{task}" / "model.safetensors") for task in "ab"}
    if hub:
        for task in TASKS:
            as_on_the_hub(tmp_path / f"x_{task}")
    bench = Bench(study_of(models, path), tmp_path)
    bench.compute("task_arithmetic", "b", "a")
    start = CLIPModel.from_pretrained(models / "clip").vision_model.state_dict()
    merged = bench.tower()
    assert merged.keys() == files["a"].keys()
    for name, weight in merged.items():
        first = start[name].double()
        wanted = first + 0.3 * sum(files[task][name].double() - first for task in "ab")
        torch.testing.assert_close(weight.double(), wanted, rtol=1e-6, atol=1e-7)
        assert not torch.equal(weight, start[name])


def test_individual_is_the_expert_that_transformers_loads(models: Path, tmp_path: Path) -> None:
    path = save_towers(models / "clip", tmp_path, TASKS, size=0.2)
    bench = Bench(study_of(models, path), tmp_path)
    rows = bench.compute("individual", "a", "c").record.scores
    for task in "ac":
        clip = CLIPModel.from_pretrained(models / "clip")
        clip.vision_model = CLIPVisionModel.from_pretrained(tmp_path / f"x_{task}")
        clip.save_pretrained(tmp_path / "clip")
        AutoTokenizer.from_pretrained(models / "clip").save_pretrained(tmp_path / "clip")
        CLIPImageProcessorPil.from_pretrained(models / "clip").save_pretrained(tmp_path / "clip")
        itself = Bench(toy_study(tmp_path, methods=("zero_shot",)), tmp_path)
        start = itself.worker.compute(next(iter(itself.plan.units.values())), lambda key: {})
        assert scores(rows, task) == scores(start.record.scores, task)
    untouched = Bench(toy_study(models, methods=("zero_shot",)), tmp_path)
    start = untouched.worker.compute(next(iter(untouched.plan.units.values())), lambda key: {})
    assert scores(rows, "b") == scores(start.record.scores, "b")  # not learnt yet
    assert scores(rows, "a") != scores(start.record.scores, "a")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"layers.1.self_attn.q_proj": 32}, "target_modules": ".*(fc1|q_proj)"},
    ],
    ids=["plain", "rslora", "patterns"],
)
def test_an_adapter_is_merged_as_peft_merges_it(
    models: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = save_adapters(models / "clip", tmp_path, TASKS, **options)
    bench = Bench(study_of(models, path), tmp_path)
    bench.compute("individual", "b")
    start = bench.tower()
    bench.worker.trainer.method.select("b")
    tower = copy.deepcopy(CLIPModel.from_pretrained(models / "clip").vision_model)
    merged = PeftModel.from_pretrained(tower, str(tmp_path / "x_b")).merge_and_unload()
    wanted = dict(merged.named_parameters())
    found = bench.tower()
    changed = {name for name in found if not torch.equal(found[name], start[name])}
    assert all(torch.equal(found[name], wanted[name]) for name in found)
    assert len(changed) == 4  # two projections of two layers


def test_swapped_experts_swap_what_individual_answers_with(models: Path, tmp_path: Path) -> None:
    path = save_towers(models / "clip", tmp_path, TASKS)
    swapped = {"tasks": {"a": "b", "b": {"path": str(tmp_path / "x_a")}}}
    found = []
    for experts in ({}, swapped):
        bench = Bench(study_of(models, path, experts=experts), tmp_path)
        bench.compute("individual", *TASKS)
        towers = {}
        for task in TASKS:
            bench.worker.trainer.method.select(task)
            towers[task] = torch.cat([weight.flatten() for weight in bench.tower().values()])
        found.append(towers)
    straight, crossed = found
    assert torch.equal(straight["a"], crossed["b"])
    assert torch.equal(straight["b"], crossed["a"])
    assert torch.equal(straight["c"], crossed["c"])
    assert not torch.equal(straight["a"], straight["b"])


@pytest.mark.parametrize("save", [save_towers, save_adapters])
def test_every_method_of_experts_merges_them(models: Path, tmp_path: Path, save: Any) -> None:
    """Text towers stay what they were, whatever is made of image towers."""
    path = save(models / "clip", tmp_path, TASKS)
    bench = Bench(study_of(models, path, *MERGING, *MASKED), tmp_path)
    start = CLIPModel.from_pretrained(models / "clip").state_dict()
    for method in (*MERGING, *MASKED):
        bench.compute(method, "c", "a")
        bench.worker.trainer.method.select("c")
        now = bench.worker.trainer.backbone.model.state_dict()
        changed = {name for name in now if not torch.equal(now[name], start[name])}
        assert changed
        assert all(name.startswith("vision_model.") for name in changed)
        if save is save_adapters:
            assert all(name.endswith(("q_proj.weight", "v_proj.weight")) for name in changed)
    loads = [unit for unit in bench.plan.units.values() if unit.kind == "load"]
    assert [unit.prefix for unit in loads] == [("a",), ("b",), ("c",)]
    assert not [unit for unit in bench.plan.units.values() if unit.kind == "train"]


def test_other_methods_of_the_study_train_as_ever(models: Path, tmp_path: Path) -> None:
    path = save_towers(models / "clip", tmp_path, TASKS)
    plan = make_plan(study_of(models, path, "finetune", "task_arithmetic"))
    alone = make_plan(toy_study(models, methods=("finetune",)))
    trained = {key for key, unit in plan.units.items() if unit.kind == "train"}
    assert trained == {key for key, unit in alone.units.items() if unit.kind == "train"}
    assert plan.counts()["trainings"] == {"finetune": 15, "task_arithmetic": 0}
    assert plan.stages_sentence().startswith(
        "26 stages: 1 untouched, 3 experts loaded, 15 trained, 7 combined from them"
    )


def test_a_plan_says_what_is_loaded(models: Path, tmp_path: Path) -> None:
    path = save_towers(models / "clip", tmp_path, TASKS)
    study = study_of(models, path, "ties", replicates=2)
    shown = make_preview(study, out=str(tmp_path / "out"))
    said = "3 experts loaded, 0 trained, 14 combined from them."
    assert said in shown.sentence()
    assert "without sharing" not in shown.sentence()
    assert f"a {tmp_path / 'x_a'} (" in " ".join(shown.plan.data_sentences())
    assert "the same in all replicates" in " ".join(shown.plan.data_sentences())
    assert shown.costs["clip", "ties"].seconds_per_step == 0
    assert not (tmp_path / "out").exists()


def keys(plan: Plan) -> set[str]:
    return set(plan.units)


def test_another_expert_makes_anew_what_is_made_of_it_and_nothing_else(
    models: Path, tmp_path: Path
) -> None:
    path = save_towers(models / "clip", tmp_path, TASKS)
    before = make_plan(study_of(models, path, "task_arithmetic", "opcm", "zero_shot"))
    weight = load_file(tmp_path / "x_b" / "model.safetensors")["post_layernorm.bias"]
    change_tensors(tmp_path / "x_b", **{"post_layernorm.bias": weight + 1})
    after = make_plan(study_of(models, path, "task_arithmetic", "opcm", "zero_shot"))
    for key, unit in before.units.items():
        assert (key in after.units) == ("b" not in unit.prefix), unit.title


def test_settings_of_training_do_not_matter_to_what_is_loaded(models: Path, tmp_path: Path) -> None:
    path = save_towers(models / "clip", tmp_path, TASKS)
    before = make_plan(study_of(models, path))
    others = {"steps": 9, "lr": 0.1, "weight_decay": 0.2, "batch_size": 16}
    assert keys(make_plan(study_of(models, path, training=others))) == keys(before)
    half = make_plan(study_of(models, path, training=others | {"precision": "bf16"}))
    assert {half.units[key].kind for key in keys(half) & keys(before)} == {"start", "load"}
    seeds = make_plan(study_of(models, path, seed=1))
    assert {seeds.units[key].kind for key in keys(seeds) & keys(before)} == {"start", "load"}


def test_replicates_share_their_experts(models: Path, tmp_path: Path) -> None:
    path = save_towers(models / "clip", tmp_path, TASKS)
    counts = make_plan(study_of(models, path, replicates=3)).counts()
    assert (counts["loaded"], counts["trained"], counts["combined"]) == (3, 0, 3 * 2 * 7)


def spoil(kind: str, models: Path, root: Path) -> None:
    """Does to the expert of task b what a sentence has to be said about."""
    folder = root / "x_b"
    layer = "encoder.layers.0.self_attn"
    match kind:
        case "shape":
            change_tensors(folder, **{"post_layernorm.bias": torch.zeros(3)})
        case "missing":
            change_tensors(folder, **{"post_layernorm.bias": None})
        case "head":
            change_tensors(folder, **{"classifier.weight": torch.zeros(3, 32)})
        case "activation":
            change_config(folder, hidden_act="gelu")
        case "whole":
            CLIPModel.from_pretrained(models / "clip").save_pretrained(folder)
        case "no weights":
            (folder / "model.safetensors").unlink()
        case "damaged":
            (folder / "model.safetensors").write_bytes(b"version https://git-lfs")
        case "no folder":
            folder.rename(root / "elsewhere")
        case "no config":
            (folder / "config.json").unlink()
        case "bias":
            bias = f"base_model.model.{layer}.q_proj.bias"
            change_tensors(folder, **{bias: torch.zeros(32)})
        case "half a factor":
            change_tensors(folder, **{f"base_model.model.{layer}.q_proj.lora_A.weight": None})
        case "factor":
            factor = f"base_model.model.{layer}.q_proj.lora_A.weight"
            change_tensors(folder, **{factor: torch.zeros(4, 7)})
        case "prompts":
            change_config(folder, "adapter_config.json", peft_type="PROMPT_TUNING")
        case "layers":
            save_adapters(models / "clip", root, "-b", target_modules=["q_proj"])


TOWERS = {
    "shape": "tensor 'post_layernorm.bias' is [3], and in the backbone [32].",
    "missing": "has no tensor 'post_layernorm.bias'.",
    "head": "a tensor 'classifier.weight', which is not in the backbone's image tower.",
    "activation": "has hidden_act gelu in its config.json, and",
    "whole": "is a clip, and experts of",
    "no weights": "has no model.safetensors.",
    "damaged": "cannot be read: ",
    "no folder": "is neither a folder nor a hub id.",
    "no config": "holds neither config.json nor adapter_config.json.",
}
ADAPTERS = {
    "bias": "q_proj.bias', which is no LoRA factor of a layer of the backbone's image tower.",
    "half a factor": "has no LoRA factor A of 'encoder.layers.0.self_attn.q_proj.weight'.",
    "factor": "are [32, 4] and [4, 7], and the weight of the backbone is [32, 32].",
    "prompts": "is of type PROMPT_TUNING, not LORA.",
    "layers": "'encoder.layers.0.self_attn.v_proj.weight' is in one of them alone.",
}


def refused(study: Study | dict[str, Any], out: Path, capsys: Any) -> str:
    """What `sweep run` says, which ends with 2 and has written nothing."""
    file = out.parent / "study.yaml"
    file.write_text(dump(study) if isinstance(study, Study) else str(study), "utf-8")
    assert main(["run", str(file), "--out", str(out)]) == EXIT_INPUT
    assert not out.exists()
    said = " ".join(capsys.readouterr().err.split())
    assert "Traceback" not in said
    assert said.endswith((".", "?"))
    return said


@pytest.mark.parametrize("kind", [*TOWERS, *ADAPTERS])
def test_what_does_not_fit_is_said_in_a_sentence(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    save = save_towers if kind in TOWERS else save_adapters
    path = save(models / "clip", tmp_path, TASKS)
    spoil(kind, models, tmp_path)
    said = refused(study_of(models, path), tmp_path / "out", capsys)
    assert (TOWERS | ADAPTERS)[kind] in said
    assert "task 'b'" in said or kind == "layers"


@pytest.mark.parametrize(
    ("experts", "methods", "said"),
    [
        ({"path": "you/clip"}, ["ties"], "experts.path: must hold {task}"),
        ({"path": "you/{task}_{size}"}, ["ties"], "nothing stands for '{size}' in"),
        ({"tasks": {"a": "x"}}, ["ties"], "there is none for task 'a'; give path"),
        ({"path": "/no/{task}", "tasks": {"d": "x"}}, ["ties"], "Unknown task in experts.tasks"),
        ({"path": "/no/{task}"}, ["ties"], "'/no/a' is neither a folder nor a hub id"),
        ({"path": "x/{task}"}, ["ties", "diki"], "method 'diki' needs more of an expert than"),
        ({"path": "x/{task}"}, ["rail"], "average, condu, condu_once, consensus, dare,"),
        ({"path": "x/{task}"}, ["finetune"], "no method loads any; those that do: average"),
        ({"path": "x/{task}"}, {"ties": {"lora": {"rank": 2}}}, "has lora, which says what is"),
        ({"paths": "x/{task}"}, ["ties"], "Unknown key 'paths'"),
        ({"path": "x/{task}", "tasks": {"a": {"pth": 1}}}, ["ties"], "Unknown key 'pth'"),
    ],
)
def test_a_section_that_cannot_be_used_is_refused(
    models: Path, tmp_path: Path, capsys: Any, experts: Any, methods: Any, said: str
) -> None:
    content = {
        "name": "toy",
        "benchmark": {"name": TOY},
        "backbones": {"clip": {"path": str(models / "clip")}},
        "methods": methods,
        "experts": experts,
    }
    assert said in refused(content, tmp_path / "out", capsys)


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="is a folder, and revision 'v1' would be one of the hub"):
        find_expert("a", str(tmp_path), "v1")
    assert find_expert("a", str(tmp_path), None).commit is None


def test_an_adapter_of_another_model_is_refused(models: Path, tmp_path: Path) -> None:
    """Adapters of CLIP B/16 would fit B/32 in every shape."""
    from methods.backbones.expert_files import check_expert, outline
    from sweep.study.expert_sources import find_expert

    save_adapters(models / "clip", tmp_path, "a")
    change_config(
        tmp_path / "x_a", "adapter_config.json", base_model_name_or_path="openai/clip-b16"
    )
    tower = outline(str(models / "clip"), None)
    files = find_expert("a", str(tmp_path / "x_a"), None).files
    assert len(check_expert(files, tower)) == 4
    other = type(tower)("openai/clip-b32", tower.config, tower.shapes)
    with pytest.raises(ValueError, match="is an adapter of 'openai/clip-b16', not of 'openai"):
        check_expert(files, other)


def test_experts_of_several_backbones(models: Path, tmp_path: Path) -> None:
    path = save_towers(models / "clip", tmp_path / "one", TASKS)
    save_towers(models / "clip", tmp_path / "two", TASKS, size=0.1)
    backbones = {name: {"path": str(models / "clip")} for name in ("one", "two")}
    path = path.replace("/one/", "/{backbone}/")
    study = study_of(models, path, "average", backbones=backbones)
    plan = make_plan(study)
    check_inputs(plan)
    assert plan.counts()["loaded"] == 6
    assert plan.pinned.experts["two", "a"].path == str(tmp_path / "two" / "x_a")


def test_files_that_change_after_planning_are_not_merged(models: Path, tmp_path: Path) -> None:
    path = save_towers(models / "clip", tmp_path, TASKS)
    bench = Bench(study_of(models, path), tmp_path)
    change_config(tmp_path / "x_a", hidden_act="quick_gelu", note="other")
    with pytest.raises(ValueError, match="have changed since the study was planned"):
        bench.compute("individual", "a")
