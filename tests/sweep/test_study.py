"""Study files: what is accepted, and what is said about everything else."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from methods.testing.toy import TOY
from sweep.errors import InputError
from sweep.orders.order import Order
from sweep.storage.run_folder import dump
from sweep.study.backbones import BackboneConfig, find_source
from sweep.study.schema import Study
from sweep.study.training import Training

GOOD: dict[str, Any] = {
    "name": "good",
    "benchmark": {"name": TOY, "num_tasks": 3},
    "backbones": {"clip": {"path": "some/clip"}},
    "methods": {"finetune": None, "small": {"method": "er", "memory": 10}},
    "design": {"name": "random", "num_orders": 4},
    "replicates": 2,
    "training": {"steps": 5, "lr": 0.01, "per_task": {"b": {"lr": 0.1, "steps": 9}}},
}


def blocks_of(study: Study) -> list[list[Order]]:
    """The orders of all replicates."""
    return study.blocks(study.benchmark.task_names())


def refusal(study: Any, *overrides: str) -> str:
    """The one sentence with which a study is refused."""
    load = partial(Study.load, study, overrides) if isinstance(study, Path) else None
    with pytest.raises(InputError) as error:
        blocks_of(load() if load else Study.from_dict(study))
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 400
    assert message.endswith((".", "?"))
    return message


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with another value at a dotted path."""
    study = yaml.safe_load(yaml.safe_dump(GOOD))
    *sections, last = path.split(".")
    section = study
    for key in sections:
        section = section.setdefault(key, {})
    section[last] = value
    return study


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    return path


class TestFiles:
    def test_missing(self, tmp_path: Path) -> None:
        assert "none.yaml' does not exist" in refusal(tmp_path / "none.yaml")

    def test_unknown_name_gets_the_nearest(self, monkeypatch: Any, tmp_path: Path) -> None:
        (tmp_path / "quickstart.yaml").write_text("")
        monkeypatch.setattr("sweep.study.schema.STUDIES", tmp_path)
        with pytest.raises(InputError, match=r"Unknown study 'quikstart'.*'quickstart'\?"):
            Study.load("quikstart")

    def test_folder(self, tmp_path: Path) -> None:
        assert "is a folder" in refusal(tmp_path)

    def test_empty(self, file: Path) -> None:
        file.write_text("# nothing\n")
        assert "is empty; a study needs at least name, benchmark" in refusal(file)

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00\x80", b"name: \x00"])
    def test_binary(self, file: Path, content: bytes) -> None:
        file.write_bytes(content)
        assert str(file) in refusal(file)

    @pytest.mark.parametrize("text", ["[a, b]", "just text", "5"])
    def test_not_a_mapping(self, file: Path, text: str) -> None:
        file.write_text(text)
        assert "must be a mapping of keys to values" in refusal(file)

    @pytest.mark.parametrize("text", ["a: [1", "a: b: c", "a: !!python/object:os.system {}"])
    def test_invalid_yaml(self, file: Path, text: str) -> None:
        file.write_text(text)
        assert "is not valid YAML" in refusal(file)

    @pytest.mark.parametrize("text", ["name: x\nname: y", "training: {lr: 1, lr: 2}"])
    def test_key_given_twice(self, file: Path, text: str) -> None:
        file.write_text(text)
        assert "is given twice (line 1)" in refusal(file)

    def test_merge_keys_work(self, file: Path) -> None:
        text = yaml.safe_dump(changed("training", {}) | {"methods": None})
        file.write_text(
            text.replace(
                "methods: null",
                "methods: {one: &one {method: er, memory: 7}, two: {<<: *one, memory: 8}}",
            )
        )
        assert Study.load(file).methods["two"].options.model_dump()["memory"] == 8


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("metods", [], ["Unknown key 'metods'", "Did you mean 'methods'?"]),
        ("training.stepz", 3, ["training", "Unknown key 'stepz'", "'steps'?"]),
        ("training.per_task.b.lrr", 1, ["training.per_task.b", "'lrr'", "'lr'?"]),
        ("backbones.clip.revison", "x", ["backbones.clip", "'revison'", "'revision'?"]),
        ("benchmark.num_task", 3, ["benchmark", "'num_task'", "'num_tasks'?"]),
        ("design.num_order", 3, ["design", "'num_order'", "'num_orders'?"]),
        ("methods.small.memry", 3, ["methods.small", "'memry'", "'memory'?"]),
        ("methods.small.options", {}, ["methods.small", "Unknown key 'options'"]),
    ],
)
def test_misspelt_key_gets_the_nearest(path: str, value: Any, parts: list[str]) -> None:
    message = refusal(changed(path, value))
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("methods", ["joynt"], ["Unknown method 'joynt'", "sweep list methods", "'joint'?"]),
        ("methods", {"x": {"method": "joynt"}}, ["methods.x", "'joynt'", "'joint'?"]),
        ("methods", ["no.such:Thing"], ["'no.such:Thing' cannot be imported"]),
        ("methods", ["methods.seeds:derive_seed"], ["must be a methods.base.Method"]),
        ("design", "exhastive", ["Unknown design 'exhastive'", "'exhaustive'?"]),
        ("benchmark", "wrld", ["Unknown benchmark 'wrld'", "'world'?"]),
        ("training.per_task", {"bb": {}}, ["training.per_task", "'bb'", "a, b, c", "'b'?"]),
        ("training.precision", "fp16", ["training.precision", "'fp32'", "'bf16'", "'fp16'"]),
        ("keep_states", "some", ["keep_states", "'leaves'", "'some'"]),
    ],
)
def test_misspelt_name_gets_what_is_allowed(path: str, value: Any, parts: list[str]) -> None:
    message = refusal(changed(path, value))
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", ""),
        ("name", "."),
        ("name", ".."),
        ("name", "a" * 101),
        ("name", "a b"),
        ("name", "../up"),
        ("benchmark", 5),
        ("benchmark", {"num_tasks": 3}),
        ("benchmark.num_tasks", "three"),
        ("backbones", 5),
        ("backbones", {}),
        ("backbones", []),
        ("backbones.clip", 5),
        ("backbones.clip.answer", "guess"),
        ("methods", 5),
        ("methods", {}),
        ("methods.small", 5),
        ("methods.small.method", True),
        ("methods.small.memory", "many"),
        ("methods.small.memory", 0),
        ("methods.small.lr", -1),
        ("design", None),
        ("design", ["random"]),
        ("design.num_orders", 0),
        ("replicates", 0),
        ("replicates", 1.5),
        ("replicates", None),
        ("seed", -1),
        ("training", 5),
        ("training.steps", 0),
        ("training.steps", "few"),
        ("training.batch_size", 0),
        ("training.lr", 0),
        ("training.lr", -1e-3),
        ("training.lr", float("inf")),
        ("training.lr", float("nan")),
        ("training.warmup_steps", -1),
        ("training.weight_decay", -0.1),
        ("training.clip_norm", 0),
        ("training.per_task", 5),
        ("training.per_task.b", 5),
        ("training.per_task.b.lr", -1),
        ("training.per_task.b.steps", 0),
        ("evaluation.batch_size", 0),
        ("lanes.count", 0),
        ("lanes.count", "many"),
        ("lanes.workers", 0),
        ("lanes.cpus_per_worker", -1),
        ("lanes.gpus_per_worker", -1),
        ("lanes.gpus_per_worker", "all"),
        ("lanes.retries", -1),
    ],
)
def test_wrong_value_is_refused_by_its_key(path: str, value: Any) -> None:
    message = refusal(changed(path, value))
    assert path in message.replace(": ", ".")
    assert "Value error" not in message


@pytest.mark.parametrize("key", ["name", "benchmark", "backbones", "methods"])
def test_missing_key_is_named(key: str) -> None:
    study = {name: value for name, value in GOOD.items() if name != key}
    assert f"the key '{key}' is missing" in refusal(study)


def test_a_number_or_a_word_names_both() -> None:
    message = refusal(changed("lanes.count", "many"))
    assert "lanes.count: must be a valid integer" in message
    assert "or 'auto', got 'many'" in message


def test_missing_nested_key_is_named_once() -> None:
    message = refusal(changed("design", "random"))
    assert message == "study: design: the key 'num_orders' is missing."


def test_the_same_method_twice_needs_labels() -> None:
    assert "same name twice" in refusal(changed("methods", ["er", "er"]))


class TestContradictions:
    def test_batch_size_and_workers(self) -> None:
        study = changed("training.batch_size", 10) | {"lanes": {"workers": 4}}
        message = refusal(study)
        assert "training.batch_size 10 must be a multiple of lanes.workers 4" in message

    def test_more_orders_than_there_are(self) -> None:
        message = refusal(changed("design.num_orders", 7))
        assert "num_orders 7: 3 tasks have only 6 orders" in message

    def test_fixed_order_of_other_tasks(self) -> None:
        message = refusal(changed("design", {"name": "fixed", "orders": [["a", "b", "x"]]}))
        assert "'x'; allowed: a, b, c" in message


class TestOverrides:
    def test_values_are_yaml(self, file: Path) -> None:
        overrides = ("training.lr=6e-4", "training.per_task.b.steps=2", "methods=[lora]")
        study = Study.load(file, overrides)
        assert study.training.lr == 6e-4
        assert study.training.steps_of("b") == 2
        assert list(study.methods) == ["lora"]

    def test_missing_sections_are_made(self, file: Path) -> None:
        study = Study.load(file, ("lanes.workers=2", "methods.finetune.lr=0.5"))
        assert study.lanes.workers == 2
        assert study.methods["finetune"].options.lr == 0.5

    @pytest.mark.parametrize("override", ["training.lr", "=3", "lr"])
    def test_must_be_key_and_value(self, file: Path, override: str) -> None:
        said = f"--set takes key.path=value or ~key.path, got '{override}'"
        assert said in refusal(file, override)

    def test_a_key_is_taken_away(self, file: Path) -> None:
        study = Study.load(file, ("methods=[lora, er, ewc]", "~methods.er", "~training.lr"))
        assert list(study.methods) == ["lora", "ewc"]
        assert study.training.lr == Training().lr

    def test_what_is_taken_away_has_to_be_there(self, file: Path) -> None:
        message = refusal(file, "~methods.finetun")
        assert "Unknown key in --set ~methods.finetun 'finetun'; allowed: " in message
        assert "Did you mean 'finetune'?" in message
        assert "--set name.first: 'name' is not a mapping" in refusal(file, "~name.first")

    def test_must_lead_through_mappings(self, file: Path) -> None:
        message = refusal(file, "name.first=x")
        assert "--set name.first: 'name' is not a mapping" in message

    def test_value_must_be_yaml(self, file: Path) -> None:
        assert "--set training is not valid YAML" in refusal(file, "training={")

    def test_misspelt_key_is_refused(self, file: Path) -> None:
        assert "'steps'?" in refusal(file, "training.stepz=3")


@pytest.mark.parametrize(("text", "value"), [("6e-4", 6e-4), ("1E-5", 1e-5), ("0.1", 0.1)])
def test_floats_may_be_written_either_way(file: Path, text: str, value: float) -> None:
    file.write_text(yaml.safe_dump(GOOD).replace("lr: 0.01", f"lr: {text}"))
    assert Study.load(file).training.lr == value


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"design": "exhaustive"},
        {"design": {"name": "fixed", "orders": [["a", "b", "c"]]}},
        {"methods": ["lora", "individual"], "lanes": {"count": 3, "gpus_per_worker": 0.5}},
        {"methods": {"mine": {"method": "methods.replay.er:ER", "memory": 3}}},
    ],
)
def test_dump_round_trips(changes: dict[str, Any]) -> None:
    study = Study.from_dict(GOOD | changes)
    assert Study.from_dict(yaml.safe_load(dump(study))) == study


def test_short_forms_mean_the_long_ones() -> None:
    short = GOOD | {"benchmark": TOY, "backbones": "clip", "methods": "lora"}
    long = GOOD | {
        "benchmark": {"name": TOY},
        "backbones": {"clip": {"path": "clip"}},
        "methods": {"lora": {"method": "lora"}},
    }
    assert Study.from_dict(short) == Study.from_dict(long)


def test_a_tasks_learning_rate_is_a_factor_of_a_methods_own() -> None:
    training = Study.from_dict(GOOD).training
    assert training.lr_of("a", None) == 0.01
    assert training.lr_of("b", None) == 0.1
    assert training.lr_of("a", 0.5) == 0.5
    assert training.lr_of("b", 0.5) == 10 * 0.5


def test_replicates_have_seeds_and_blocks_of_their_own() -> None:
    study = Study.from_dict(GOOD)
    assert study.replicate_seed(0) != study.replicate_seed(1)
    assert blocks_of(study)[0] != blocks_of(study)[1]


def test_more_replicates_keep_the_first_ones() -> None:
    study = Study.from_dict(GOOD)
    assert blocks_of(Study.from_dict(GOOD | {"replicates": 3}))[:2] == blocks_of(study)


class TestBackbones:
    @pytest.mark.parametrize("path", ["tiny-clp", "../nowhere/x", "/nowhere"])
    def test_unknown_path_is_refused(self, path: str) -> None:
        with pytest.raises(InputError, match=rf"Unknown backbone .*'{path}'"):
            find_source(BackboneConfig(path=path))

    def test_folder_without_a_model_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"holds no config\.json"):
            find_source(BackboneConfig(path=str(tmp_path)))

    def test_folder_is_known_by_its_content(self, models: Path, tmp_path: Path) -> None:
        clip = find_source(BackboneConfig(path=str(models / "clip")))
        (tmp_path / "config.json").write_text("{}")
        one = find_source(BackboneConfig(path=str(tmp_path)))
        (tmp_path / "config.json").write_text("{} ")
        other = find_source(BackboneConfig(path=str(tmp_path)))
        assert len({clip.fingerprint, one.fingerprint, other.fingerprint}) == 3


def test_shipped_study_is_found_beside_a_folder_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "methods").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Study.load("methods").name == "methods"
