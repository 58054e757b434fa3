"""The files of the named classification benchmarks say what their protocols say.

Every data set is written with a few images, in the format, with the columns and with the names of
labels that it has where it is published, and read through its benchmark's file.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from analysis.data.published_orders import NAMED, bare
from methods.data import Task
from sweep.errors import InputError
from sweep.study.schema import Study
from sweep.tasks.named.benchmark_files import read_benchmark
from sweep.tasks.named.named_benchmark import Published
from sweep.tasks.sources.datasets import Datasets
from tests.sweep.hub_copies import CLASS_NAMES, write_coop, write_hub
from tests.sweep.protocols import MTIL, READ, TALL, said_in_mtil

HUB = CLASS_NAMES["hub"]
BENCHMARKS = (
    "mtil",
    "mtil-fewshot",
    "x-tail",
    "snd8",
    "imagenet-r",
    "cifar100-cil",
    "tall8",
    "tall14",
    "tall20",
)


def per_class(split: float | None) -> int:
    """Returns how many images a class needs so that a random split has some of each to train on."""
    return 8 if split else 1


@pytest.fixture(scope="module")
def mtil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a copy of every data set of MTIL."""
    root = tmp_path_factory.mktemp("mtil")
    for source in read_benchmark("mtil").tasks.values():
        write_hub(root, source, HUB[source.path], per_class(source.split))
    return root


def loaded(name: str, root: Path, tasks: Sequence[str] | None = None) -> dict[str, Task]:
    file = read_benchmark(name)
    chosen = {task: file.tasks[task] for task in tasks or file.tasks}
    return dict(Datasets(tasks=chosen, root=root).load().tasks)


def test_mtil_has_1201_classes_and_calls_them_as_zscl_does(mtil: Path) -> None:
    tasks = loaded("mtil", mtil)
    assert {name: list(task.choices) for name, task in tasks.items()} == said_in_mtil()
    assert sum(len(task.choices) for task in tasks.values()) == 1201
    assert tasks["mnist"].prompts()[0] == 'a photo of the number: "0 - zero".'
    assert tasks["eurosat"].prompts()[9] == "a centered satellite photo of lake or sea."
    assert tasks["flowers"].choices[0] == "pink primrose"
    assert tasks["caltech101"].choices[:4] == (
        "off-center face",
        "centered face",
        "leopard",
        "motorbike",
    )
    assert "apse/indoor" in tasks["sun397"].choices


@pytest.mark.parametrize("name", MTIL)
def test_splits_and_templates_of_mtil(mtil: Path, name: str) -> None:
    source, task = read_benchmark("mtil").tasks[name], loaded("mtil", mtil, [name])[name]
    classes, train, test, templates = MTIL[name]
    tested = None if source.split else source.test
    assert (source.path, source.train, tested) == READ[name]
    expected = source.expected
    assert (expected.classes, expected.train, expected.test) == (classes, train, test)
    assert len(task.choices) == classes
    assert len(set(task.templates)) == len(task.templates) == templates
    if source.split:
        count = classes * per_class(source.split) * (str(source.train).count("+") + 1)
        assert (len(task.train), len(task.test)) == (int(0.8 * count), count - int(0.8 * count))
        assert int(0.8 * (train + test)) == train
    else:
        assert len(task.train) == len(task.test) == classes


def test_templates_are_those_of_zscl(mtil: Path) -> None:
    tasks = read_benchmark("mtil").tasks
    first = {name: source.templates[0] for name, source in tasks.items()}
    assert first == {
        "aircraft": "a photo of a {}, a type of aircraft.",
        "caltech101": "a photo of a {}.",
        "cifar100": "a photo of a {}.",
        "dtd": "a photo of a {} texture.",
        "eurosat": "a centered satellite photo of {}.",
        "flowers": "a photo of a {}, a type of flower.",
        "food": "a photo of a {}, a type of food.",
        "mnist": 'a photo of the number: "{}".',
        "oxford-pet": "a photo of a {}, a type of pet.",
        "stanford-cars": "a photo of a {}, a type of car.",
        "sun397": "a photo of a {}.",
    }
    for name in ("caltech101", "cifar100", "dtd"):  # each with "a", then each with "the"
        half = len(tasks[name].templates) // 2
        with_a, with_the = tasks[name].templates[:half], tasks[name].templates[half:]
        assert [re.sub(r"\ba(?= )", "the", text) for text in with_a] == [
            re.sub(r"\ba(?= )", "the", text) for text in with_the
        ]
    said = {name: set(source.templates) for name, source in tasks.items()}
    assert "a origami {}." in said["caltech101"]
    assert "a low contrast photo of the {}." in said["cifar100"]
    assert "i love my {}!" in said["stanford-cars"]


def test_orders_and_figures_of_mtil_fit_together() -> None:
    file = read_benchmark("mtil")
    for number in (1, 2):
        order = [bare(task) for task in file.orders[f"order-{number}"]]
        assert order == [bare(task) for task in NAMED[f"mtil-{number}"]]
        zero_shot = next(
            row
            for row in file.published
            if (row.method, row.order) == ("zero_shot", f"order-{number}")
        )
        in_order = [file.zero_shot[task] for task in file.orders[f"order-{number}"]]
        transfer, last = np.mean(in_order[1:]), np.mean(in_order)
        assert zero_shot.numbers["transfer"] == pytest.approx(transfer, abs=0.06)
        assert zero_shot.numbers["last"] == pytest.approx(last, abs=0.06)
    methods = {row.method for row in file.published}
    assert {"finetune", "lwf", "wise_ft", "zscl"} <= methods


def test_few_shots_are_drawn_of_every_class(mtil: Path) -> None:
    for name, source in read_benchmark("mtil").tasks.items():
        if name in ("mnist", "eurosat"):
            write_hub(mtil, source, HUB[source.path], 40)
    tasks = loaded("mtil-fewshot", mtil, ["mnist", "eurosat"])
    for task in tasks.values():
        assert np.bincount(task.train.labels).tolist() == [16] * 10
    assert list(read_benchmark("mtil-fewshot").tasks) == list(MTIL)
    few, all_of_it = read_benchmark("mtil-fewshot").tasks, read_benchmark("mtil").tasks
    for name in MTIL:
        assert few[name] == all_of_it[name].model_copy(update={"shots": 16})


COOP: Mapping[str, list[str]] = {
    "eurosat": [
        *("Annual Crop Land", "Forest", "Herbaceous Vegetation Land", "Highway or Road"),
        *("Industrial Buildings", "Pasture Land", "Permanent Crop Land"),
        *("Residential Buildings", "River", "Sea or Lake"),
    ],
    "dtd": HUB["mcimpoi/dtd_split_1"],
    "ucf101": ["Apply_Eye_Makeup", "Apply_Lipstick", "Archery"],
}
"""What CoOp's split files call some classes."""


def test_x_tail_reads_split_files_and_says_where_an_image_is_from(tmp_path: Path) -> None:
    file = read_benchmark("x-tail")
    assert file.evaluation == {"choices": "all"}
    assert sum(source.expected.classes or 0 for source in file.tasks.values()) == 1100
    assert {source.shots for source in file.tasks.values()} == {16}
    assert {source.templates for source in file.tasks.values()} == {("a photo of a {}.",)}
    write_coop(tmp_path, file.tasks["eurosat"], COOP["eurosat"], 20)
    write_hub(tmp_path, file.tasks["mnist"], HUB["ylecun/mnist"], 20)
    tasks = loaded("x-tail", tmp_path, ["eurosat", "mnist"])
    assert tasks["eurosat"].prompts()[1] == "a photo of a Forest satellite location."
    assert tasks["mnist"].prompts()[7] == 'a photo of a number: "7 - seven".'
    assert [len(task.train) for task in tasks.values()] == [160, 160]
    assert [len(task.test) for task in tasks.values()] == [200, 200]


def test_snd8_shifts_one_order(tmp_path: Path) -> None:
    file = read_benchmark("snd8")
    first = list(file.tasks)
    assert [list(order) for order in file.orders.values()] == [
        first[number:] + first[:number] for number in range(8)
    ]
    for name in ("ucf101", "dtd"):
        write_coop(tmp_path, file.tasks[name], COOP[name])
    tasks = loaded("snd8", tmp_path, ["ucf101", "dtd"])
    assert tasks["ucf101"].prompts()[0] == "a photo of a Apply Eye Makeup."
    assert list(tasks["dtd"].choices) == HUB["mcimpoi/dtd_split_1"]


def test_classes_of_cifar100_come_in_the_usual_order(mtil: Path) -> None:
    tasks = loaded("cifar100-cil", mtil)
    names = said_in_mtil()["cifar100"]
    order = [names.index(choice) for task in tasks.values() for choice in task.choices]
    assert order[:10] == [68, 56, 78, 8, 23, 84, 90, 65, 74, 76]  # PILOT and iCaRL, seed 1993
    assert sorted(order) == list(range(100))
    assert [len(task.choices) for task in tasks.values()] == [10] * 10
    assert read_benchmark("cifar100-cil").evaluation == {"choices": "seen"}


def test_classes_of_imagenet_r_come_by_wordnet_id(tmp_path: Path) -> None:
    source = read_benchmark("imagenet-r").tasks["imagenet-r"]
    ids = HUB["axiong/imagenet-r"]
    write_hub(tmp_path, source, ids, 8, as_text=True)
    tasks = list(loaded("imagenet-r", tmp_path).values())
    assert [len(task.choices) for task in tasks] == [20] * 10
    order = np.random.RandomState(1993).permutation(200)
    names = source.rename
    assert isinstance(names, dict)
    assert [choice for task in tasks for choice in task.choices] == [
        names[ids[number]] for number in order
    ]
    assert names["n01443537"] == "goldfish"
    assert names["n12267677"] == "acorn"
    assert sum(len(task.train) for task in tasks) == int(0.8 * 1600)
    assert (source.expected.train, source.expected.test) == (24_000, 6000)


def test_tall_names_classes_by_their_numbers(tmp_path: Path) -> None:
    eight, fourteen, twenty = (read_benchmark(f"tall{count}").tasks for count in (8, 14, 20))
    assert [len(eight), len(fourteen), len(twenty)] == [8, 14, 20]
    assert list(twenty)[:14] == list(fourteen)
    assert list(fourteen)[:8] == list(eight)
    assert all(twenty[name] == source for name, source in {**eight, **fourteen}.items())
    for name, source in twenty.items():
        count = source.expected.classes or 0
        numbers = name in ("fer2013", "pcam")
        unknown = [f"called {number} on the hub" for number in range(count)]
        write_hub(tmp_path, source, count if numbers else HUB.get(source.path, unknown), 1)
    tasks = loaded("tall20", tmp_path)
    assert {name: len(task.choices) for name, task in tasks.items()} == {
        name: source.expected.classes for name, source in twenty.items()
    }
    said = {name: list(task.choices) for name, task in tasks.items()}
    assert said["mnist"] == said["svhn"] == list("0123456789")
    assert said["fer2013"][3] == "happy"
    assert said["gtsrb"][14] == "stop"
    assert said["emnist_letters"] == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert said["cifar100"][1] == "aquarium_fish"  # FusionBench leaves it so, in its prompts
    assert said["oxford-iiit-pet"][1] == "american_bulldog"
    assert said["oxford_flowers102"][59] == "pink-yellow dahlia?"
    assert said["sun397"][9] == "apse indoor"
    assert said["kmnist"] == list("おきすつなはまやれを")
    assert said["cifar10"][2] == said["stl10"][1] == "bird"
    assert said["fashion_mnist"][0] == "T - shirt / top"
    assert said["resisc45"][44] == "wetland"
    assert said["pcam"][1] == "lymph node containing metastatic tumor tissue"
    assert said["rendered-sst2"] == ["negative", "positive"]
    assert {name: (len(task.templates), task.templates[0]) for name, task in tasks.items()} == TALL
    assert tasks["food101"].prompts()[0] == "a photo of apple pie, a type of food."


def test_a_list_of_names_has_one_for_every_class(tmp_path: Path) -> None:
    source = read_benchmark("tall14").tasks["stl10"]
    write_hub(tmp_path, source, [f"called {number}" for number in range(9)])
    says = "task 'stl10'.*rename lists 10 names, and there are 9 classes; give one for each"
    with pytest.raises(InputError, match=says):
        Datasets(tasks={"stl10": source}, root=tmp_path).load()
    write_hub(tmp_path, source, 11)
    with pytest.raises(InputError, match="label 10 is none of the 10 classes"):
        Datasets(tasks={"stl10": source}, root=tmp_path).load()


def test_the_study_mtil_is_the_published_recipe() -> None:
    study = Study.load("mtil")
    assert study.benchmark == Published(name="mtil")
    orders = study.design.orders(study.benchmark.task_names(), np.random.default_rng(0))
    assert list(orders) == list(read_benchmark("mtil").orders.values())
    training = study.training
    assert (training.steps, training.batch_size, training.warmup_steps) == (1000, 64, 100)
    assert (training.label_smoothing, training.crop) == (0.2, (0.9, 1.0))
    assert training.weight_decay == 0
    rates = {task: training.lr_of(task, None) for task in MTIL}
    assert {task for task, lr in rates.items() if lr == 5e-5} == {"aircraft", "mnist"}
    assert {task for task, lr in rates.items() if lr == 1e-5} == set(MTIL) - {"aircraft", "mnist"}


def test_the_page_of_mtil_has_the_figures_of_its_file() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mtil.md").read_text("utf-8")
    file = read_benchmark("mtil")
    for task, accuracy in file.zero_shot.items():
        templates = len(file.tasks[task].templates)
        assert f"| {task} | {accuracy} | {templates} |" in page
    for method in Study.load("mtil").methods:
        said = [
            " / ".join(str(number) for number in row.numbers.values())
            for row in file.published
            if row.method == method
        ]
        assert len(said) == 2
        assert f"| `{method}` | {said[0]} | {said[1]} |" in page


def test_the_probe_imagenet_has_the_names_of_clip(tmp_path: Path) -> None:
    source = read_benchmark("probes").probes["imagenet"]
    write_hub(tmp_path, source, [f"synonyms, of, {number}" for number in range(1000)], 1)
    tasks = {"mnist": read_benchmark("mtil").tasks["mnist"]}
    write_hub(tmp_path, tasks["mnist"], HUB["ylecun/mnist"])
    probe = Datasets(tasks=tasks, probes={"imagenet": source}, root=tmp_path).load()
    imagenet = probe.probes["imagenet"]
    assert len(set(imagenet.choices)) == 1000
    assert imagenet.choices[:2] == ("tench", "goldfish")
    assert (imagenet.choices[134], imagenet.choices[517]) == ("crane bird", "construction crane")
    assert len(set(imagenet.templates)) == 80
    assert imagenet.templates[0] == "a bad photo of a {}."


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_file_says_what_a_reader_needs(name: str) -> None:
    file = read_benchmark(name)
    assert file.note
    assert file.recipe
    assert file.evaluation["choices"] in ("task", "seen", "all")
    for task, source in file.tasks.items():
        assert source.licence, task
        assert source.size, task
        assert source.expected.classes, task
        assert source.revision is None or re.fullmatch(r"[0-9a-f]{40}", source.revision), task
        if source.split_file:  # on no hub: the note says how to get it
            assert source.note
            assert re.search(r"gdown [\w-]{33} ", source.note), task
    sizes = [re.fullmatch(r"[\d.]+ [GM]B", source.size or "") for source in file.tasks.values()]
    assert all(sizes)
