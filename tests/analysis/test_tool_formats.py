"""Files of other tools, written here as those tools write them."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import Results, metrics, read_matrices
from tests.analysis.mtil import ORDERS, PUBLISHED

ORDER = ("b", "a", "c")
R = np.array([[0.2, 0.1, 0.3], [0.7, 0.2, 0.3], [0.6, 0.8, 0.2], [0.5, 0.7, 0.9]])
SEEN = np.vstack([np.full((1, 3), np.nan), np.where(np.tri(3), R[1:], np.nan)])
"""What is left where tasks are evaluated from the stage on that learns them."""


def holds(
    results: Results, right: np.ndarray, order: tuple[str, ...] = ORDER, **key: object
) -> None:
    """Whether results hold one run (of a method or replicate) with this matrix."""
    runs = results.runs
    for column, value in key.items():
        runs = runs[runs[column] == value]
    (run,) = runs.itertuples()
    assert run.order == order
    found = results.matrix(run.backbone, run.method, run.replicate, order)
    assert found.to_numpy() == pytest.approx(right, nan_ok=True)


def read(text: str, **options: object) -> Results:
    return read_matrices(io.StringIO(text), **options)  # type: ignore[arg-type]


# Avalanche


def eval_results(stages: range, trained: tuple[int, ...] = (0, 1, 2), tensors: bool = False) -> str:
    """What CSVLogger writes, with experiences trained in the order of `trained`."""
    lines = ["eval_exp,training_exp,eval_accuracy,eval_loss,forgetting"]
    for k in stages:
        for experience in sorted(trained):
            value = f"{R[k, trained.index(experience)]:.4f}"
            value = f"\ntensor({value})" if tensors else value
            training = trained[k - 1] if k else "None"
            lines.append(f"{experience},{training},{value},0.6931,0")
    return "\n".join(lines) + "\n"


def test_avalanche_csv() -> None:
    holds(read(eval_results(range(4)), order=ORDER), R)
    start_unknown = np.vstack([np.full((1, 3), np.nan), R[1:]])
    holds(read(eval_results(range(1, 4)), order=ORDER), start_unknown)
    holds(read(eval_results(range(4), tensors=True), order=ORDER), R)
    holds(read(eval_results(range(4), trained=(2, 0, 1)), order=ORDER), R)
    unfinished = R.copy()
    unfinished[3] = np.nan
    holds(read(eval_results(range(3)), order=ORDER), unfinished)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (eval_results(range(4)), "does not name its 3 tasks; give their names in learning order"),
        (eval_results(range(4)).replace("0.7000", "0"), None),
        ("eval_exp,training_exp,eval_accuracy\n0,0,0\n1,0,0", "accuracy_metrics.experience=True"),
        (eval_results(range(4)) + "0,2,0.4,0,0\n", "after 3 trained ones, 0.5 and 0.4"),
        (eval_results(range(4)) + "0,0,0.4,0,0\n", "trains experience 0 twice"),
        ("training_exp,epoch,training_accuracy,val_accuracy\n0,0,1,1", "give eval_results.csv"),
    ],
)
def test_avalanche_csv_that_cannot_be_read(text: str, match: str | None) -> None:
    if match is None:
        assert metrics(read(text, order=ORDER))["last"][0] == pytest.approx((0.5 + 0 + 0.9) / 3)
        return
    order = None if "does not name" in match else ("a", "b") if "monitor" in match else ORDER
    with pytest.raises(ValueError, match=match):
        read(text, order=order)


def key(experience: int, task: bool = True) -> str:
    name = f"/Task{experience:03}" if task else ""
    return f"Top1_Acc_Exp/eval_phase/test_stream{name}/Exp{experience:03}"


def text_log() -> str:
    """What InteractiveLogger prints, with an evaluation every epoch."""
    lines = []
    for k in range(4):
        if k:
            lines += [
                "-- >> Start of training phase << --",
                f"-- Starting training on experience {k - 1} (Task {k - 1}) from train stream --",
                "-- >> Start of eval phase << --",
                f"\t{key(0)} = 0.1111",
                "-- >> End of eval phase << --",
                "Epoch 0 ended.",
                "\tTop1_Acc_Epoch/train_phase/train_stream/Task000 = 0.9922",
                "-- >> End of training phase << --",
            ]
        lines.append("-- >> Start of eval phase << --")
        for i in range(3):
            lines += [
                f"-- Starting eval on experience {i} (Task {i}) from test stream --",
                f"> Eval on experience {i} (Task {i}) from test stream ended.",
                f"\tLoss_Exp/eval_phase/test_stream/Task{i:03}/Exp{i:03} = 0.3150",
                f"\t{key(i)} = {R[k, i]:.4f}",
            ]
        lines += [
            "-- >> End of eval phase << --",
            "\tTop1_Acc_Stream/eval_phase/test_stream/Task000 = 0.8644",
        ]
    return "\n".join(lines)


def test_avalanche_text_log() -> None:
    holds(read(text_log(), order=ORDER, method="naive"), R, method="naive")


@pytest.mark.parametrize("task", [True, False])
def test_avalanche_metrics_as_json(task: bool) -> None:
    returned = [
        {key(i, task): R[k, i] for i in range(3)} | {"Loss_Stream/eval_phase/test_stream": 0.5}
        for k in range(4)
    ]
    holds(read(json.dumps(returned), order=ORDER), R)
    seen = [{key(i, task): R[k, i] for i in range(k)} for k in (1, 2, 3)]
    holds(read(json.dumps(seen), order=ORDER), SEEN)
    collected = {key(i, task): [[0, 100, 200, 300], R[:, i].tolist()] for i in range(3)}
    holds(read(json.dumps(collected), order=ORDER), R)
    with pytest.raises(ValueError, match="the metrics of one evaluation; give a list"):
        read(json.dumps(returned[0]), order=ORDER)
    with pytest.raises(ValueError, match="holds 5 evaluations of 3 experiences"):
        read(json.dumps([*returned, returned[0]]), order=ORDER)


# Mammoth


def logged(scale: float = 1, numpy: bool = False, **also: object) -> dict[str, object]:
    """What Mammoth's Logger.write logs of a run, in percent."""
    entry: dict[str, object] = {"dataset": "seq-x", "model": "derpp", "lr": 0.03, "seed": None}
    entry |= also
    entry |= {f"accmean_task{k}": 100 * scale * float(R[k, :k].mean()) for k in (1, 2, 3)}
    for k in (1, 2, 3):
        for i in range(k):
            value = 100 * scale * R[k, i]
            entry[f"accuracy_{i + 1}_task{k}"] = np.float64(value) if numpy else float(value)
    return entry | {"forward_transfer": None, "backward_transfer": -12.5}


@pytest.mark.parametrize("numpy", [False, True], ids=["numbers", "NumPy 2"])
def test_mammoth(tmp_path: Path, numpy: bool) -> None:
    path = tmp_path / "logs.pyd"
    entries = [logged(seed=7, numpy=numpy), logged(0.9, numpy, seed=3), logged(0.8, numpy, seed=3)]
    path.write_text(f"{entries[0]}\n")
    assert ("np.float64" in path.read_text()) == numpy
    results = read_matrices(path, order=ORDER)
    holds(results, SEEN, method="derpp", replicate=7)
    assert results.unit == "percent"
    assert np.isnan(metrics(results)["transfer"]).all()
    path.write_text("".join(f"{entry}\n" for entry in entries))
    runs = metrics(read_matrices(path, order=ORDER))
    assert runs["replicate"].tolist() == [0, 1, 2]  # seeds do not tell them apart
    assert runs["last"].tolist() == pytest.approx([0.7, 0.63, 0.56])


def test_mammoth_as_csv() -> None:
    table = pd.DataFrame([logged(seed=1), logged(0.5, model="er", seed=1)]).to_csv(index=False)
    results = read(table, order=ORDER)
    holds(results, SEEN, method="derpp", replicate=1)
    holds(results, SEEN / 2, method="er", replicate=1)


def test_mammoth_that_cannot_be_read() -> None:
    with pytest.raises(ValueError, match=r"several methods \(derpp, er\)"):
        read(f"{logged()}\n{logged(model='er')}", order=ORDER, method="mine")
    with pytest.raises(ValueError, match="does not name its 3 tasks"):
        read(str(logged()))
    means = {"model": "er", "accmean_task1": 70.0, "accmean_task2": 71.0}
    with pytest.raises(ValueError, match="Run 1 of 'text' holds only means over tasks"):
        read(str(means), order=ORDER)
    future = logged() | {"accuracy_3_task1": 3.0}
    with pytest.raises(ValueError, match="eval_future"):
        read(str(future), order=ORDER)


# PyCIL and PILOT


def grouped(k: int, scale: float = 100, numpy: bool = False) -> str:
    """What their `accuracy` returns after k tasks of ten classes."""
    values = {f"{10 * i:02}-{10 * i + 9:02}": scale * R[k, i] for i in range(k)}
    all_of_it = {"total": scale * R[k, :k].mean(), **values, "old": 0, "new": scale * R[k, k - 1]}
    kind = np.float64 if numpy else float
    return str({name: kind(round(value, 4)) for name, value in all_of_it.items()})


def trainer_log(
    seed: int = 1993,
    nme: bool = False,
    numpy: bool = False,
    scale: float = 100,
    stages: int = 3,
    shuffle: bool = True,
) -> str:
    """What `_train` logs."""
    head = "2024-01-18 10:00:30,251 [trainer.py] => "
    lines = [f"seed: {seed}", "model_name: icarl", "backbone_type: vit_b16", f"shuffle: {shuffle}"]
    for k in range(1, stages + 1):
        lines += ["All params: 86390784", "[base.py] => Learning on 0-10"]
        lines.append(f"CNN: {grouped(k, scale, numpy)}")
        lines.append(f"NME: {grouped(k, scale / 2, numpy)}" if nme else "No NME accuracy.")
        lines.append("CNN top1 curve: [78.96, 72.14]")
    text = "\n".join(head + line for line in lines)
    return text + "\nAccuracy Matrix (CNN):\n[[70. 60. 50.]\n [ 0. 80. 70.]\n [ 0.  0. 90.]]\n"


GROUPS = ("00-09", "10-19", "20-29")


@pytest.mark.parametrize("numpy", [False, True], ids=["numbers", "NumPy 2"])
def test_pilot_log(numpy: bool) -> None:
    results = read(trainer_log(numpy=numpy))
    holds(results, SEEN, GROUPS, method="icarl", replicate=1993, backbone="vit_b16")
    assert np.isnan(metrics(results)["transfer"]).all()
    holds(read(trainer_log(numpy=numpy), order=ORDER, method="mine"), SEEN, method="mine")


def test_both_classifiers_are_methods() -> None:
    results = read(trainer_log(nme=True), format="pycil")
    holds(results, SEEN, GROUPS, method="icarl CNN")
    holds(results, SEEN / 2, GROUPS, method="icarl NME")


def test_first_versions_of_pycil_wrote_fractions_without_a_name() -> None:
    results = read(trainer_log(scale=1).replace("CNN: {", "{"))
    holds(results, SEEN, GROUPS)
    assert results.unit == "fraction"


def test_several_seeds_in_one_log() -> None:
    results = read(trainer_log() + trainer_log(1994, scale=50))
    holds(results, SEEN, GROUPS, replicate=1993)
    holds(results, SEEN / 2, GROUPS, replicate=1994)
    assert "a group holds other classes under another seed" in results.notes[0]
    fixed = read(trainer_log(shuffle=False) + trainer_log(1994, scale=50, shuffle=False))
    assert not any("seed" in note for note in fixed.notes)
    with pytest.raises(ValueError, match="two runs of icarl with seed 1993"):
        read(trainer_log(stages=2) + trainer_log())


def test_class_groups_are_in_numerical_order() -> None:
    """PyCIL sorts them as text, which puts 100-109 before 20-29."""
    names = [f"{10 * i:02}-{10 * i + 9:02}" for i in range(11)]
    lines = [
        f"CNN: { ({'total': 50.0} | {name: 50.0 + i for i, name in enumerate(names[:k])}) }"
        for k in range(1, 12)
    ]
    results = read("\n".join(lines))
    assert results.runs["order"].tolist() == [tuple(names)]
    assert metrics(results)["last"][0] == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (trainer_log().replace("'00-09'", "'00-09': 1.0, '05-06'"), "its groups are not its tasks"),
        ("CNN top1 curve: [78.96, 72.14]", "totals over all classes are not enough"),
    ],
)
def test_logs_without_tasks(text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read(text)


# FACIL


def test_facil(tmp_path: Path) -> None:
    for name in ("acc_taw-2023-05-27-10-31.txt", "acc_tag-2023-05-27-10-31.txt"):
        np.savetxt(tmp_path / name, np.tril(R[1:]), "%.6f", delimiter="\t")
        results = read_matrices(tmp_path / name, order=ORDER)
        holds(results, SEEN)
        assert np.isnan(metrics(results)[["transfer", "fwt", "avg"]]).all(axis=None)
        with pytest.raises(ValueError, match="does not name its 3 tasks"):
            read_matrices(tmp_path / name)


def test_facil_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "acc_taw-2023-05-27-10-31.txt"
    table = np.tril(R[1:])
    table[2] = 0
    np.savetxt(path, table, "%.6f", delimiter="\t")
    unfinished = SEEN.copy()
    unfinished[3] = np.nan
    results = read_matrices(path, order=ORDER)
    holds(results, unfinished)
    assert metrics(results).empty
    assert any("after stage 3 (c)" in note for note in results.notes)


@pytest.mark.parametrize("name", ["forg_taw", "avg_accs_taw", "wavg_accs_tag"])
def test_facil_tables_that_hold_no_accuracies_by_task(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}-2023-05-27-10-31.txt"
    np.savetxt(path, np.tril(R[1:], -1) if name == "forg_taw" else R[1:2], "%.6f", delimiter="\t")
    with pytest.raises(ValueError, match=r"give results/acc_taw-\*.txt"):
        read_matrices(path, order=ORDER)


# ZSCL

MTIL = (
    "aircraft", "caltech101", "cifar100", "dtd", "eurosat", "flowers", "food", "mnist",
    "oxford_pet", "stanford_cars", "sun397",
)  # fmt: skip
LEARNT_SECOND = [9, 6, 7, 8, 5, 10, 0, 1, 3, 4, 2]
"""Order II, as ZSCL's notebook has it."""


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("number", ["I", "II"])
def test_zscl_arrays_give_the_published_numbers(tmp_path: Path, number: str, flat: bool) -> None:
    """Rows and columns stand in Order I whatever was learnt, with CIFAR-10 as third column."""
    published = np.array(PUBLISHED["matrices"][number]["ZSCL"])
    places = LEARNT_SECOND if number == "II" else list(range(11))
    stored = np.empty((11, 11))
    stored[np.ix_(places, places)] = published
    stored = np.insert(stored, 2, 99.0, axis=1)
    np.save(tmp_path / "t9_7.npy", stored.ravel() if flat else stored)
    order = [MTIL[place] for place in places]
    results = read_matrices(tmp_path / "t9_7.npy", order=order, method="ZSCL")
    found = results.matrix("unnamed", "ZSCL", 0, order).to_numpy()[1:]
    assert found == pytest.approx(published / 100)
    (run,) = metrics(results).itertuples()
    right = {"I": (0.681, 0.754, 0.836), "II": (0.642, 0.745, 0.834)}[number]
    assert (run.transfer, run.avg, run.last) == pytest.approx(right, abs=0.0006)
    assert len(ORDERS[number]) == 11


def test_zscl_arrays_need_an_order_of_known_tasks(tmp_path: Path) -> None:
    np.save(tmp_path / "t9_7.npy", np.full(132, 50.0))
    with pytest.raises(ValueError, match=r"does not say which order.*Order I of MTIL is aircraft"):
        read_matrices(tmp_path / "t9_7.npy")
    with pytest.raises(ValueError, match=r"Unknown task 'stanford'.*Did you mean 'stanford_cars'"):
        read_matrices(tmp_path / "t9_7.npy", order=["stanford"])


def test_continual_clip_lines() -> None:
    lines = [
        {"task": k - 1, "acc": 50.0, "acc_per_task": [100 * R[k, i] for i in range(k)], "bwt": 0.0}
        for k in (1, 2, 3)
    ]
    text = "\n".join(map(json.dumps, [*lines, {"last": 70.0, "avg": 71.0}]))
    holds(read(text, order=ORDER), SEEN)
    with pytest.raises(ValueError, match=r"one more accuracy in acc_per_task.*it holds 1, 3"):
        read("\n".join(map(json.dumps, [lines[0], lines[2]])), order=ORDER)
