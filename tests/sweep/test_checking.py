"""Prompts: choices that a backbone cannot tell apart are refused before anything starts."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from methods.data import Task
from methods.testing.tiny_models import VOCABULARY, save_clip, save_llava
from methods.testing.toy import TOY, Toy, toy_study
from sweep import file_digests
from sweep.errors import InputError
from sweep.measuring.checking import check_inputs, check_prompts
from sweep.measuring.measure import make_plan
from sweep.preview.preview import make_preview
from sweep.single import run_single
from sweep.study.pinned import pin
from sweep.study.schema import Study
from sweep.tasks.base import Benchmark


@pytest.fixture(autouse=True)
def _memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digests, "MEMORY", tmp_path / "memory" / "memory.sqlite")


class Worded(Toy):
    """The toy with choices of one's own for its three labels."""

    name: str = "worded"
    choices: tuple[str, ...] = ("red", "green", "blue")
    templates: tuple[str, ...] = ("what color is {}",)
    suite: tuple[str, ...] = ("red", "green", "blue")

    def load(self) -> Benchmark:
        toy = super().load()
        tasks = {name: self._worded(task, self.choices) for name, task in toy.tasks.items()}
        suite = self._worded(toy.probes["suite"], self.suite)
        return Benchmark(tasks, {"suite": replace(suite, name="suite")})

    def _worded(self, task: Task, choices: tuple[str, ...]) -> Task:
        return replace(task, choices=choices, templates=self.templates)


def worded(models: Path, backbone: str = "clip", **changes: Any) -> Study:
    options = changes.pop("answering", {})
    benchmark = {"name": "tests.sweep.test_checking:Worded", "num_tasks": 2, **changes}
    backbones = {backbone: {"path": str(models / backbone), **options}}
    return toy_study(models, benchmark=benchmark, backbones=backbones)


def refusal(study: Study) -> str:
    with pytest.raises(InputError) as error:
        check_prompts(study, pin(study).sources)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")
    return str(error.value)


@pytest.mark.parametrize("backbone", ["clip", "llava"])
def test_choices_that_differ_are_accepted(models: Path, backbone: str) -> None:
    study = worded(models, backbone)
    check_prompts(study, pin(study).sources)


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        (("red", "cat", "dog"), "it does not know the words"),
        (("red", "cat", "Cat"), "it does not know the words"),
        (("red", "a  cat", "a dog"), "it does not know the words"),
    ],
)
@pytest.mark.parametrize("backbone", ["clip", "llava"])
def test_unknown_words_are_all_the_same(
    models: Path, backbone: str, choices: tuple[str, ...], reason: str
) -> None:
    assert refusal(worded(models, backbone, choices=choices)) == (
        f"task 'a': the choices '{choices[1]}' and '{choices[2]}' are the same to backbone "
        f"'{backbone}', because {reason}; rename one, or use another backbone."
    )


def test_suites_are_looked_at_too(models: Path) -> None:
    message = refusal(worded(models, suite=("red", "cat", "dog")))
    assert message.startswith("task 'suite': the choices 'cat' and 'dog'")


@pytest.mark.parametrize(
    "pair", [("a_b", "a b"), ("a b", "a  b"), ("caf\u00e9", "cafe\u0301"), ("red", "red ")]
)
def test_the_same_text_is_refused_for_any_backbone(models: Path, pair: tuple[str, str]) -> None:
    assert f"the choices {pair[0]!r} and {pair[1]!r} are the same text" in refusal(
        worded(models, choices=("blue", *pair))
    )


def test_long_names_that_are_cut_alike_are_refused(models: Path) -> None:
    long = " ".join(["red"] * 90)
    message = refusal(worded(models, choices=("blue", f"{long} green", f"{long} blue")))
    assert "because their prompts are cut at 20 tokens" in message


def test_the_first_template_must_tell_choices_apart(models: Path) -> None:
    cut = " ".join(["red"] * 90) + " {}"
    study = worded(models, templates=("{}", cut))
    check_prompts(study, pin(study).sources)
    assert "are cut at" in refusal(worded(models, templates=(cut, "{}")))


def with_coop(length: int, models: Path, backbone: str = "clip", **changes: Any) -> Study:
    study = worded(models, backbone, **changes)
    methods = {"finetune": {}, "mine": {"method": "coop", "length": length}}
    return Study.from_dict(study.model_dump() | {"methods": methods})


def test_a_context_that_leaves_no_room_for_words_is_refused(models: Path) -> None:
    check_prompts(with_coop(4, models), pin(with_coop(4, models)).sources)
    assert refusal(with_coop(20, models)) == (
        "method 'mine' on backbone 'clip': a context of 20 tokens leaves no words any room in a "
        "text tower that takes 20, 2 of them special; at most 17 are possible."
    )
    study = with_coop(20, models, "llava", questions=True)
    check_prompts(study, pin(study).sources)


def test_a_context_must_leave_room_for_what_tells_choices_apart(models: Path) -> None:
    study = with_coop(14, models, templates=("what {}",))
    check_prompts(study, pin(study).sources)
    message = refusal(with_coop(14, models, templates=("what color is what {}",)))
    assert message == (
        "method 'mine' puts 14 tokens in front of every text, which leaves 6 places of backbone "
        "'clip', where the choices 'red' and 'green' of task 'a' are the same; give it a shorter "
        "context, or leave it out."
    )


def with_capitals(save: Callable[[Path, Sequence[str]], object], folder: Path) -> None:
    """Saves a tiny model whose tokenizer reads upper and lower case apart."""
    from tokenizers import Tokenizer, normalizers

    save(folder, (*VOCABULARY, "crimson"))
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"crimson"', '"Red"'))
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.save(str(file))


def test_case_matters_only_where_the_tokenizer_reads_it(models: Path, tmp_path: Path) -> None:
    choices = ("green", "Red", "red")
    message = refusal(worded(models, choices=choices))
    assert "because it does not read upper and lower case apart" in message
    with_capitals(save_clip, tmp_path / "clip")
    study = worded(tmp_path, choices=choices)
    check_prompts(study, pin(study).sources)


def test_generated_answers_are_compared_without_case_and_space(tmp_path: Path) -> None:
    with_capitals(save_llava, tmp_path / "llava")
    choices = ("green", "Red", "red")
    study = worded(tmp_path, "llava", choices=choices)
    check_prompts(study, pin(study).sources)
    message = refusal(worded(tmp_path, "llava", answering={"answer": "generate"}, choices=choices))
    assert "'Red' and 'red'" in message
    assert "case and white space of generated answers do not count" in message


def test_dual_encoders_read_no_questions(models: Path) -> None:
    study = toy_study(models, benchmark={"name": TOY, "questions": True})
    message = refusal(study)
    assert "task 'a' is not for backbone 'clip': its samples have questions of their own" in message


def test_prompts_are_looked_at_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = worded(models)
    sources = pin(study).sources
    check_prompts(study, sources)

    def again(*_: object) -> None:
        raise AssertionError("the tokenizer is loaded again")

    monkeypatch.setattr("methods.backbones.loading.load_text_reader", again)
    check_prompts(study, sources)
    with pytest.raises(AssertionError, match="loaded again"):
        check_prompts(worded(models, choices=("red", "green", "a")), sources)
    changed = {label: replace(source, fingerprint="other") for label, source in sources.items()}
    with pytest.raises(AssertionError, match="loaded again"):
        check_prompts(study, changed)


def test_a_model_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    save_clip(tmp_path / "clip", VOCABULARY)
    for file in (tmp_path / "clip").glob("*token*"):
        file.unlink()
    assert refusal(worded(tmp_path)).startswith("backbone 'clip': Backbone '")
    assert "has no tokenizer" in refusal(worded(tmp_path))


def folders(path: Path, classes: Sequence[str]) -> None:
    for part in ("train", "test"):
        for label in classes:
            for i in range(2):
                file = path / "alpha" / part / label / f"{i}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(file)
    shutil.copytree(path / "alpha", path / "beta")


@pytest.fixture
def cats_and_dogs(tmp_path: Path) -> Mapping[str, Any]:
    folders(tmp_path / "data", ("cat", "dog"))
    return {
        "name": "pets",
        "benchmark": {"name": "folder", "path": str(tmp_path / "data")},
        "backbones": ["tiny-clip"],
        "methods": ["finetune"],
        "design": {"name": "fixed", "orders": [["alpha", "beta"]]},
    }


def test_every_command_looks_first(cats_and_dogs: Mapping[str, Any], tmp_path: Path) -> None:
    study, out = Study.from_dict(dict(cats_and_dogs)), str(tmp_path / "out")
    refused = pytest.raises(InputError, match="'cat' and 'dog' are the same to backbone")
    with refused:
        check_inputs(make_plan(study))
    with refused:
        make_preview(study, out)
    with refused:
        run_single(study, "finetune", ("alpha", "beta"), out=out)
    with refused:
        from sweep import run

        run(study, out)
    assert not Path(out).exists()


def test_broken_images_are_found_first(tmp_path: Path, cats_and_dogs: Mapping[str, Any]) -> None:
    study, out = Study.from_dict(dict(cats_and_dogs)), str(tmp_path / "out")
    (tmp_path / "data" / "beta" / "test" / "dog" / "1.png").write_text("no image")
    with pytest.raises(InputError, match=r"1\.png' cannot be read as an image"):
        run_single(study, "finetune", ("alpha", "beta"), out=out)
    assert not Path(out).exists()


def test_a_plan_says_what_was_found(tmp_path: Path) -> None:
    folders(tmp_path / "data", ("small red square", "large blue circle"))
    (tmp_path / "data" / "alpha" / "notes.txt").write_text("")
    study = Study.from_dict(
        {
            "name": "found",
            "benchmark": {"name": "folder", "path": str(tmp_path / "data")},
            "backbones": ["tiny-clip"],
            "methods": ["zero_shot"],
            "design": {"name": "fixed", "orders": [["alpha", "beta"]]},
        }
    )
    shown = make_preview(study, str(tmp_path / "out"))
    counts = "2 classes, 4 train images (2 per class) and 4 test images (2 per class)."
    expected = (
        f"Task 'alpha': {counts}",
        f"Task 'beta': {counts}",
        *(
            f"Task '{task}': 4 images in both train and test, such as "
            f"'{task}/test/large blue circle/0.png', so its accuracy is too high."
            for task in ("alpha", "beta")
        ),
        "Left out because only train/ and test/ of a task are read: 1, such as 'alpha/notes.txt'.",
    )
    assert shown.as_dict()["data"] == list(expected)
