"""Names and numbers in study files and in --set: taken as their writer means them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from methods.testing.toy import TOY
from sweep.errors import InputError
from sweep.orders.given import Fixed
from sweep.storage.run_folder import dump
from sweep.study.schema import Study

STUDY = f"""
name: read
benchmark: {{name: "{TOY}"}}
backbones: [some/clip]
methods: [er, finetune]
"""
NAMES = ("007", "no", "on", "null", "true", "1_000", "2024-01-01", "1.0", "1.50", "1e3", "0x10")
"""Words that YAML takes for something else."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.yaml"


def read(file: Path, more: str = "", *overrides: str) -> Study:
    given = {line.partition(":")[0] for line in more.splitlines()}
    lines = [line for line in STUDY.split("\n") if line.partition(":")[0] not in given]
    file.write_text("\n".join([*lines, more]))
    return Study.load(file, overrides)


def refusal(file: Path, more: str = "", *overrides: str) -> str:
    with pytest.raises(InputError) as error:
        read(file, more, *overrides)
    return str(error.value)


@pytest.mark.parametrize("name", NAMES)
class TestNames:
    def test_of_tasks(self, file: Path, name: str) -> None:
        study = read(
            file,
            f"design: {{name: fixed, orders: [[{name}, b], [b, {name}]]}}\n"
            f"training: {{per_task: {{{name}: {{lr: 1e-4}}}}}}",
        )
        assert isinstance(study.design, Fixed)
        assert study.design.given == ((name, "b"), ("b", name))
        assert study.training.lr_of(name, None) == 1e-4

    def test_of_methods_and_backbones(self, file: Path, name: str) -> None:
        study = read(
            file,
            f"methods: {{{name}: {{method: er}}, b: {{method: er}}}}\n"
            f"backbones: [{name}]\n"
            f"stopping: {{half_width: 0.1, between: [b, {name}]}}",
        )
        assert list(study.methods) == [name, "b"]
        assert study.backbones[name].path == name
        assert study.stopping is not None
        assert study.stopping.between == ("b", name)

    def test_survive_being_written(self, file: Path, name: str) -> None:
        study = read(file, f"design: {{name: fixed, orders: [[{name}]]}}\nbackbones: [{name}]")
        file.write_text(dump(study))
        assert Study.load(file) == study
        assert Study.from_dict(yaml.safe_load(dump(study))) == study


def test_numbers_are_names_from_python_too() -> None:
    study = Study.from_dict(
        {
            "name": 5,
            "benchmark": TOY,
            "backbones": {0: {"path": "clip"}},
            "methods": {1: {"method": "er"}},
            "design": {"name": "fixed", "orders": [[0, 1], [1, 0]]},
            "training": {"per_task": {0: {"lr": 1e-4}}},
        }
    )
    assert (study.name, list(study.backbones), list(study.methods)) == ("5", ["0"], ["1"])
    assert isinstance(study.design, Fixed)
    assert study.design.given == (("0", "1"), ("1", "0"))
    assert study.training.lr_of("0", None) == 1e-4


@pytest.mark.parametrize("text", ["1e3", "1000", "1E+3", "1.0e3", "1_000", "1000.0", "01000"])
def test_whole_numbers_may_be_written_so(file: Path, text: str) -> None:
    assert read(file, f"training: {{steps: {text}}}").training.steps == 1000
    assert read(file, "", f"training.steps={text}").training.steps == 1000
    methods = read(file, f"methods: {{er: {{memory: {text}}}}}").methods
    assert methods["er"].options.model_dump()["memory"] == 1000


@pytest.mark.parametrize(
    "text", ["1.5e0", "1e-1", "1.5", "1e400", "1e", "e3", "many", "yes", ".inf"]
)
def test_other_numbers_are_no_whole_ones(file: Path, text: str) -> None:
    assert "training.steps: must be a valid integer" in refusal(
        file, f"training: {{steps: {text}}}"
    )
    assert "methods.er: memory: must be a valid integer" in refusal(
        file, f"methods: {{er: {{memory: {text}}}}}"
    )


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("1E5", 1e5), ("1", 1), (".5", 0.5)])
def test_numbers_may_be_written_so(file: Path, text: str, value: float) -> None:
    assert read(file, f"training: {{lr: {text}}}").training.lr == value


@pytest.mark.parametrize("text", ["false", "False", "no", "off"])
def test_truth_values_may_be_written_so(file: Path, text: str) -> None:
    design = read(file, f"design: {{name: fixed, all_tasks: {text}, orders: [[a]]}}").design
    assert isinstance(design, Fixed)
    assert design.all_tasks is False


@pytest.mark.parametrize("text", ["null", "~", ""])
def test_nothing_is_nothing(file: Path, text: str) -> None:
    assert read(file, f"training: {{clip_norm: {text}}}").training.clip_norm is None
    assert "must be a valid string, got None" in refusal(file, "name:\n")


class TestShortForms:
    """What is written out where --set changes a part of it."""

    @pytest.mark.parametrize("methods", ["[er, finetune]", "er", "{er: null}", "{er: {lr: 1}}"])
    def test_methods(self, file: Path, methods: str) -> None:
        study = read(file, f"methods: {methods}", "methods.er.memory=5", "methods.er.lr=0.5")
        assert study.methods["er"].options.model_dump(include={"memory", "lr"}) == {
            "memory": 5,
            "lr": 0.5,
        }
        assert ("finetune" in study.methods) == ("finetune" in methods)

    def test_a_method_more_or_back_to_its_defaults(self, file: Path) -> None:
        study = read(file, "", "methods.lwf.lr=0.5", "methods.er.lr=1", "methods.er=null")
        assert list(study.methods) == ["er", "finetune", "lwf"]
        assert study.methods["er"].options.lr is None

    @pytest.mark.parametrize("backbones", ["[some/clip-1.5]", "some/clip-1.5"])
    def test_backbones_whose_labels_hold_dots(self, file: Path, backbones: str) -> None:
        changed = "backbones.some/clip-1.5.answer=generate"
        study = read(file, f"backbones: {backbones}", changed)
        assert study.backbones["some/clip-1.5"].answer == "generate"

    def test_names(self, file: Path) -> None:
        study = read(file, "design: random\nreference: captions", "design.num_orders=1e0")
        assert study.design.model_dump() == {"name": "random", "num_orders": 1}
        study = read(file, "reference: captions", "reference.size=3")
        assert study.reference is not None
        assert study.reference.model_dump()["size"] == 3

    def test_per_task_of_a_number(self, file: Path) -> None:
        study = read(file, "", "training.per_task.0.lr=1e-4")
        assert study.training.lr_of("0", None) == 1e-4

    def test_lists_are_given_whole(self, file: Path) -> None:
        said = refusal(file, "design: {name: fixed, orders: [[a]]}", "design.orders.0=[b]")
        assert said == "--set design.orders.0: 'design.orders' is a list; give all of it."


def test_study_in_the_home_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(file)
    monkeypatch.setenv("HOME", str(file.parent))
    assert Study.load("~/study.yaml").name == "read"


def test_options_of_a_method_are_any() -> None:
    """Only whole numbers are read for them; a word stays a word."""
    content: dict[str, Any] = {"method": "er", "buffer": "1e3"}
    with pytest.raises(InputError, match=r"buffer: .*got '1e3'"):
        Study.from_dict(yaml.safe_load(STUDY) | {"methods": {"er": content}})


def test_yaml_that_is_nested_too_deeply(file: Path) -> None:
    file.write_text("[" * 5000)
    with pytest.raises(InputError, match="nested too deeply"):
        Study.load(file)
