"""Named benchmarks: what their files may say, and what a study makes of them."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweep.cli.catalogue import catalogue
from sweep.cli.main import main
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.single import matrix, run_single
from sweep.storage.run_folder import dump
from sweep.study.evaluation import Evaluation
from sweep.study.schema import Study
from sweep.tasks import BENCHMARKS, PROBES
from sweep.tasks.named import benchmark_files
from sweep.tasks.named.benchmark_files import benchmark_names, read_benchmark
from sweep.tasks.named.named_benchmark import Published
from sweep.tasks.sources.datasets import Datasets
from tests.sweep.sources import isolate, labelled, on_the_hub

DTD = read_benchmark("mtil").tasks["dtd"]
FIRST = {
    "title": "First",
    "source": "Someone",
    "tasks": {
        "a": {"path": "me/a", "columns": {"label": "kind", "image": "img"}, "shots": 5},
        "b": {"path": "me/b", "template": ["a {}", "the {}"], "rename": {"x": "ex", "y": "why"}},
    },
    "orders": {"forth": ["a", "b"], "back": ["b", "a"]},
    "published": [{"method": "zscl", "order": "back", "last": 83.6, "source": "table 1"}],
}
SHARED = {"title": "Probes", "source": "Someone", "probes": {"held-out": {"path": "me/held"}}}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two benchmarks of its own, and shared probes."""
    path = tmp_path / "benchmarks"
    path.mkdir()
    monkeypatch.setattr(benchmark_files, "NAMED", path)
    for name in ("first", "second"):
        monkeypatch.setitem(BENCHMARKS, name, BENCHMARKS["mtil"])
    write(path, "first", FIRST)
    write(path, PROBES, SHARED)
    return path


def write(folder: Path, name: str, said: Any) -> None:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(said, sort_keys=False))


def second(tasks: Any, **other: Any) -> dict[str, Any]:
    return {"title": "Second", "source": "Someone else", "tasks": tasks, **other}


# --- the files -----------------------------------------------------------------------------------


def test_an_entry_is_like_another_with_changes(folder: Path) -> None:
    write(
        folder,
        "second",
        second(
            {
                "c": {"like": "first.b", "rename": {"y": "upsilon"}, "template": ["some {}"]},
                "d": {"like": "second.c", "test": "dev", "columns": {"label": "fine"}},
                "e": {"like": "first.a", "columns": {"label": "fine"}, "shots": None},
            },
            probes={"f": {"like": f"{PROBES}.held-out", "revision": "v1"}},
        ),
    )
    read = read_benchmark("second")
    assert read.tasks["c"].path == "me/b"
    assert read.tasks["c"].rename == {"x": "ex", "y": "upsilon"}
    assert read.tasks["c"].templates == ("some {}",)
    assert read.tasks["d"].rename == read.tasks["c"].rename
    assert (read.tasks["d"].test, read.tasks["d"].columns.label) == ("dev", "fine")
    assert (read.tasks["e"].columns.image, read.tasks["e"].columns.label) == ("img", "fine")
    assert read.tasks["e"].shots is None
    assert (read.probes["f"].path, read.probes["f"].revision) == ("me/held", "v1")
    assert read_benchmark("first").tasks["b"].rename["y"] == "why"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([1], "second.yaml: must be a mapping of keys to values"),
        ("{a: 1, a: 2}", "second.yaml: key 'a' is given twice"),
        ("tasks: [", "second.yaml is not valid YAML"),
        ({"title": "Second", "source": "S"}, "second.yaml: the key 'tasks' is missing."),
        ({"tasks": {"c": {"path": "p"}}}, "second.yaml: the key 'title' is missing."),
        (second({"c": {"path": "p", "shot": 1}}), "second.yaml: tasks.c: Unknown key 'shot'; "),
        (second({"c": {"path": "p", "shots": 0}}), "second.yaml: tasks.c.shots: must be greater"),
        (
            second({"c": {"path": "p", "columns": {"lable": "l"}}}),
            "second.yaml: tasks.c.columns: Unknown key 'lable'; ",
        ),
        (
            second({"c": {"like": "first.b", "columns": {"lable": "l"}}}),
            "second.yaml: tasks.c.columns: Unknown key 'lable'; ",
        ),
        (second({"c": {"like": "frist.b"}}), "second.yaml: tasks.c.like: Unknown published bench"),
        (
            second({"c": {"like": "first.x"}}),
            "second.yaml: tasks.c.like: Unknown task of benchmark 'first' 'x'; allowed: a, b.",
        ),
        (second({"c": {"like": "b"}}), "second.yaml: tasks.c.like: must be BENCHMARK.TASK, such"),
        (
            second({"c": {"like": "second.d"}, "d": {"like": "second.c"}}),
            "second.yaml: tasks.c.like: 'second.d' is like itself: second.d > second.c.",
        ),
        (
            second({"c": {"path": "p"}}, probes={"c": {"path": "q"}}),
            "second.yaml: probes: 'c' is a task, too",
        ),
        (
            second({"c": {"path": "p"}}, orders={"one": ["d"]}),
            "second.yaml: orders.one: Unknown task 'd'; allowed: c.",
        ),
        (
            second({"c": {"path": "p"}, "d": {"path": "q"}}, orders={"one": ["c", "c"]}),
            "second.yaml: orders.one: must hold every task once, but 'c' stands there 2 times.",
        ),
        (
            second({"c": {"path": "p", "cut": {"tasks": 2}}}, orders={"one": ["c-1", "c-3"]}),
            "second.yaml: orders.one: Unknown task 'c-3'; allowed: c-1, c-2.",
        ),
        (
            second({"c": {"path": "p"}}, published=[{"method": "m", "last": 1}]),
            "second.yaml: published.0: the key 'source' is missing.",
        ),
        (
            second({"c": {"path": "p"}}, published=[{"method": "m", "source": "s", "lats": 1}]),
            "second.yaml: published.0: Unknown figure 'lats'; ",
        ),
        (
            second({"c": {"path": "p"}}, published=[{"method": "m", "source": "s", "last": "no"}]),
            "second.yaml: published.0.last: must be a valid number, got 'no'.",
        ),
        (
            second({"c": {"path": "p"}}, published=[{"method": "m", "source": "s"}]),
            "second.yaml: published.0: 'm' has no figure; give one of transfer, ",
        ),
        (
            second(
                {"c": {"path": "p"}},
                published=[{"method": "m", "source": "s", "last": 1, "order": "two"}],
                orders={"one": ["c"]},
            ),
            "second.yaml: published.0.order (m): Unknown order 'two'; allowed: one.",
        ),
        (
            second({"c": {"path": "p"}}, zero_shot={"d": 1}, zero_shot_source="s"),
            "second.yaml: zero_shot: Unknown task 'd'; allowed: c.",
        ),
        (
            second({"c": {"path": "p"}}, zero_shot={"c": 1}),
            "second.yaml: zero_shot: the key 'zero_shot_source' is missing.",
        ),
    ],
)
def test_a_mistake_in_a_file_names_the_file_and_the_key(
    folder: Path, said: Any, expected: str
) -> None:
    if isinstance(said, str):
        (folder / "second.yaml").write_text(said)
    else:
        write(folder, "second", said)
    with pytest.raises(InputError) as error:
        read_benchmark("second")
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", benchmark_names())
def test_shipped_files_can_be_used(name: str) -> None:
    file = read_benchmark(name)
    assert file.tasks
    Evaluation.model_validate(file.evaluation)
    benchmark = Published(name=name)
    assert benchmark.datasets.tasks.keys() == file.tasks.keys()
    if file.task_names is not None:
        assert benchmark.task_names() == file.task_names
    for order in benchmark.published_orders().values():
        assert len(order) == len(file.task_names or order)


# --- in a study ----------------------------------------------------------------------------------


def said_of(benchmark: Any, **changes: Any) -> dict[str, Any]:
    """What a study file says."""
    return {
        "name": "named",
        "benchmark": benchmark,
        "backbones": ["tiny-clip"],
        "methods": ["finetune"],
        "design": {"name": "fixed", "orders": "published"},
        "training": {"steps": 2, "batch_size": 4},
        **changes,
    }


def study(benchmark: Any, **changes: Any) -> Study:
    return Study.from_dict(said_of(benchmark, **changes))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """MNIST in a folder of copies, DTD in the hub's cache: few samples in their own columns."""
    mnist = tmp_path / "root" / "ylecun" / "mnist" / "mnist"
    mnist.mkdir(parents=True)
    for split, count in (("train", 30), ("test", 20)):
        part = labelled([i % 10 for i in range(count)], tuple("0123456789"))
        part.to_parquet(mnist / f"{split}-00000-of-00001.parquet")
    dtd = tmp_path / "dtd"
    (dtd / "data").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        part = labelled([0, 1, 2, 0], ("red", "green", "blue"))
        part.to_parquet(dtd / "data" / f"{split}-00000-of-00001.parquet")
    assert DTD.revision
    on_the_hub(tmp_path / "hub", DTD.path, dtd, DTD.revision)
    return tmp_path / "root"


def test_a_named_benchmark_is_learnt(data: Path) -> None:
    made = study({"name": "mtil", "tasks": ["dtd", "mnist"], "root": str(data)})
    loaded = made.benchmark.load()
    assert list(loaded.tasks) == list(made.benchmark.task_names()) == ["dtd", "mnist"]
    digits = loaded.tasks["mnist"]
    assert digits.choices[:2] == ("0 - zero", "1 - one")
    assert digits.templates == ('a photo of the number: "{}".',)
    assert (len(digits.train), len(digits.test)) == (30, 20)
    assert any("mnist" in sentence for sentence in made.benchmark.warnings())  # 60 000 expected
    records, _ = run_single(made, "finetune", ("dtd", "mnist"))
    found = matrix(("dtd", "mnist"), records, made.evaluation)
    assert found.shape == (3, 2)
    assert found.to_numpy().min() >= 0


def test_published_figures_go_into_the_run_folder(data: Path, folder: Path, tmp_path: Path) -> None:
    here = {"path": str(data / "ylecun" / "mnist"), "classes": ["1", "2"], "template": "{}"}
    entries = {"c": {**here, "rename": ["red", "blue"]}, "d": {**here, "rename": ["red", "blue"]}}
    figures = [{"method": "zscl", "order": "one", "last": 83.6, "bwt": -2, "source": "table 1"}]
    write(folder, "second", second(entries, orders={"one": ["d", "c"]}, published=figures))
    made = study("second")
    run_single(made, "finetune", ("d", "c"), out=str(tmp_path / "out"))
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan["published"] == [
        {
            "method": "zscl",
            "order": "one",
            "source": "table 1",
            "figures": {"Last": 83.6, "BWT": -2.0},
        }
    ]
    assert study({"name": "second", "tasks": ["d", "c"]}).benchmark.published_figures()
    for part in ({"tasks": ["c"]}, {"shots": 2}, {"subset": 2}):
        assert not study({"name": "second", **part}).benchmark.published_figures()


def test_what_the_protocol_evaluates_otherwise_is_said(
    data: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"path": str(data / "ylecun" / "mnist"), "classes": ["1", "2"], "template": "{}"}
    entry |= {"rename": ["red", "blue"]}
    asked = {"choices": "all", "samples": None}
    write(folder, "second", second({"c": entry, "d": entry}, evaluation=asked))
    made = study("second", design="williams")
    remark = "The protocol of benchmark 'second' has evaluation.choices: all, and this study task."
    assert made.protocol_remarks() == [remark]
    assert remark in make_plan(made).data_sentences()
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(said_of("second", design="williams")))
    main(["check", str(file)])
    assert f"note     {remark}" in capsys.readouterr().out
    follows = study("second", design="williams", evaluation={"choices": "all"})
    assert follows.protocol_remarks() == []


def test_what_a_study_changes(data: Path) -> None:
    two = {"name": "mtil", "tasks": ["mnist", "dtd"], "root": str(data)}
    few = study({**two, "shots": 2}).benchmark
    assert len(few.load().tasks["mnist"].train) == 20
    assert not any("mnist" in said and "30" in said for said in few.warnings())
    fewer = study({**two, "subset": 3}).benchmark
    assert len(fewer.load().tasks["mnist"].train) == 3
    others = study({**two, "subset": 3, "seed": 1}).benchmark
    assert others.fingerprints()["mnist"].train != fewer.fingerprints()["mnist"].train
    assert others.fingerprints()["mnist"].test == fewer.fingerprints()["mnist"].test


def test_probes_are_its_own_or_shared_ones(folder: Path) -> None:
    assert study("first").benchmark.datasets.probes == {}
    chosen = study({"name": "first", "probes": ["held-out"]}).benchmark
    assert chosen.datasets.probes["held-out"].path == "me/held"
    write(folder, "second", second({"c": {"path": "p"}}, probes={"d": {"path": "q"}}))
    own = {"design": "williams"}
    assert list(study("second", **own).benchmark.datasets.probes) == ["d"]
    assert study({"name": "second", "probes": []}, **own).benchmark.datasets.probes == {}


@pytest.mark.parametrize(
    ("benchmark", "expected"),
    [
        ({"name": "first", "tasks": ["aa"]}, "Unknown task of benchmark 'first' 'aa'; allowed: a"),
        ({"name": "first", "tasks": ["a", "a"]}, "tasks: 'a' is given twice."),
        ({"name": "first", "probes": ["b"]}, "Unknown probe of benchmark 'first' 'b'; allowed: h"),
        ({"name": "first", "shot": 3}, "Unknown key 'shot'; "),
        (
            {"name": "second", "shots": 3},
            "shots is for tasks with classes, and these have none; subset draws samples.",
        ),
        ("frist", "Unknown benchmark 'frist'; "),
        (BENCHMARKS["mtil"], "Unknown published benchmark 'sweep.tasks.named.named_benchmark:Publ"),
        (PROBES, "Unknown benchmark 'probes'; "),
    ],
)
def test_what_does_not_fit_is_said(folder: Path, benchmark: Any, expected: str) -> None:
    write(folder, "second", second({"c": {"path": "p", "kind": "pairs"}}))
    with pytest.raises(InputError) as error:
        study(benchmark)
    assert f"benchmark: {expected}" in str(error.value)


def test_the_root_is_one_place_for_all_processes(tmp_path: Path) -> None:
    for given, root in (("copies", tmp_path / "copies"), ("~/copies", Path.home() / "copies")):
        benchmark = study({"name": "mtil", "root": given}).benchmark
        assert benchmark.model_dump()["root"] == str(root)


def test_the_name_stays(folder: Path) -> None:
    write(folder, "second", second({"c": {"path": "p"}}))
    for name in ("first", "second"):
        made = study(name, design="williams")
        assert made.benchmark.name == name
        again = Study.from_dict(yaml.safe_load(dump(made)))
        assert again.benchmark == made.benchmark


def test_benchmarks_are_listed_with_their_titles(folder: Path) -> None:
    write(folder, "second", second({"c": {"path": "p", "shot": 1}}))
    listed = {name: description for name, description, _ in catalogue("benchmarks")}
    assert listed["first"] == "First"
    assert listed["second"].startswith("Unusable: second.yaml: tasks.c: Unknown key 'shot'")


# --- orders --------------------------------------------------------------------------------------


def test_published_orders_stand_in_the_study(folder: Path) -> None:
    made = yaml.safe_load(dump(study("first")))
    assert made["design"]["orders"] == [["a", "b"], ["b", "a"]]
    assert Study.from_dict(made).blocks(("a", "b")) == [[("a", "b"), ("b", "a")]]
    one = study("first", design={"name": "fixed", "orders": ["back"]})
    assert one.blocks(("a", "b")) == [[("b", "a")]]
    alone = study({"name": "first", "tasks": ["b"]})
    assert alone.blocks(("b",)) == [[("b",)]]


def test_orders_that_are_not_there(folder: Path) -> None:
    listed = {"name": "fixed", "orders": ["mtil-2"], "all_tasks": False}
    assert study("first", design=listed).design.model_dump(by_alias=True)["orders"] == ("mtil-2",)
    for orders in ("forht", ["back", "forht"]):
        with pytest.raises(InputError, match=r"order 'forht'; allowed: .*Did you mean 'forth'\?"):
            study("first", design={"name": "fixed", "orders": orders})
    with pytest.raises(InputError, match="this benchmark has no published orders"):
        study({"name": "world", "tasks": ["shapes", "colors"]})


# --- absent data ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["plan", "run"])
@pytest.mark.parametrize("is_offline", [True, False])
def test_absent_data_are_one_sentence_without_network(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    is_offline: bool,
) -> None:
    def connect(*_: Any) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", is_offline)
    made = said_of({"name": "mtil", "tasks": ["aircraft", "dtd", "food", "mnist"]})
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(made))
    change = f"benchmark.root={data}"
    assert main([verb, str(file), "--out", str(tmp_path / "out"), "--set", change]) == 2
    said = capsys.readouterr()
    assert said.err.strip() == (
        "Error: benchmark 'mtil': 2 of its 4 data sets are not on this machine: "
        f"'mteb/FGVCAircraft' and 'ethz/food101'; `sweep data mtil --root {data}` says how to get "
        "them."
    )
    assert not said.out
    assert not (tmp_path / "out").exists()


def test_of_many_absent_data_sets_some_are_named() -> None:
    with pytest.raises(InputError) as error:
        Published(name="mtil").fingerprint()
    assert "11 of its 11 data sets are not on this machine: 'mteb/FGVCAircraft', " in str(
        error.value
    )
    assert str(error.value).endswith(" and 8 more; `sweep data mtil` says how to get them.")


def test_check_says_that_data_are_absent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(said_of({"name": "mtil", "tasks": ["dtd", "food"]})))
    assert main(["check", str(file)]) == 2
    said = capsys.readouterr().out
    assert "2 of its 2 data sets are not on this machine" in said
    assert said.count("are not on this machine") == 1


def test_own_data_sets_may_be_like_those_of_named_benchmarks(folder: Path) -> None:
    tasks = {"a5": {"like": "first.a", "shots": 1}, "mine": {"path": "me/mine"}}
    made = study({"name": "datasets", "tasks": tasks}, design="williams")
    assert isinstance(made.benchmark, Datasets)
    assert (made.benchmark.tasks["a5"].path, made.benchmark.tasks["a5"].shots) == ("me/a", 1)
    again = yaml.safe_load(dump(made))
    assert again["benchmark"]["tasks"]["a5"]["columns"]["label"] == "kind"
    with pytest.raises(InputError, match=r"benchmark: tasks: a5\.like: Unknown task of benchmark"):
        study({"name": "datasets", "tasks": {"a5": {"like": "first.aa"}}})


def test_a_root_is_the_same_place_for_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lanes do not work in the folder that the study was started in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "copies").mkdir()
    section = {"backbones": ["tiny-clip"], "methods": ["finetune"], "name": "s"}
    for benchmark in (
        {"name": "mtil", "root": "copies"},
        {"name": "datasets", "root": "copies", "tasks": {"a": {"path": "some/where"}}},
    ):
        study = Study.from_dict(section | {"benchmark": benchmark})
        assert study.model_dump()["benchmark"]["root"] == str(tmp_path / "copies")
