"""Data of two or more tasks of every benchmark of environments, captions and answers."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sweep.tasks.named.benchmark_files import read_benchmark
from tests.sweep import published_data as data

WORD = "\nAnswer the question using a single word or phrase."
CAPTION = "What is happening in the image?\nGenerate a brief caption for the image."


def write_coco(root: Path) -> None:
    animals = read_benchmark("coco-environments").tasks["animals"].classes or ()
    food = read_benchmark("coco-environments").tasks["food"].classes or ()
    all_of = [[(name, 5.0)] for name in (*animals, *food)]
    several = [[("cat", 9.0), ("fork", 7.0)], [("cat", 7.0), ("cake", 9.5)]]
    other = [[("dog", 3.0), ("person", 90.0)], [("car", 2.0)], []]
    data.coco_detection(root, {"train": all_of + several + other, "val": several + all_of})


def write_cub(root: Path) -> None:
    tasks = read_benchmark("cub-environments").tasks
    named = sorted(name for task in tasks.values() for name in task.classes or ())
    shown = [
        name
        for task in ("woodpeckers-hummingbirds", "sparrows-finches")
        for name in tasks[task].classes or ()
    ]
    data.cub(root, named, shown, each=1)


def write_retrieval(root: Path) -> None:
    data.coco_captions(root, train=6, test=4)
    data.flickr30k(root, train=6, test=4)
    data.visual_genome(root, images=10)
    data.conceptual_captions(root, train=6, test=4)
    convert_visual_genome(root)


def convert_visual_genome(root: Path) -> None:
    """Does what the note of the benchmark says."""
    note = read_benchmark("retrieval4").note or ""
    code = note.split('python -c "')[1].split('"')[0]
    folder = root / "visual-genome"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


def write_vqa(root: Path) -> None:
    types = ["how many", "how many people", "how many people are in", "what number is"]
    types += ["how many people are", "what color is the", "what color are the", "what color"]
    types += ["what color is", "what is the color of the"]
    rows = [
        (i // 2, kind, f"{kind} {i}?", [data.color(i // 2)] * 7 + ["pink"] * 2 + ["none"])
        for i, kind in enumerate(types)
    ]
    more = [(0, "what color", "what color?", ["red"] * 10), (1, "why", "why?", ["so"] * 10)]
    data.vqa_v2(root, {"train": rows + more, "validation": rows})


def write_coin(root: Path) -> None:
    folder = root / "Zacks-Chen/CoIN"
    original = folder / "Instructions_Original"
    question = "Which color is it?\nA. red\nB. green\nC. blue\n" + (
        "Answer with the option's letter from the given choices directly."
    )
    names = [f"./ScienceQA/images/train/{i}/image.png" for i in range(6)]
    letters = ["A", "B", "C"] * 2
    for i, name in enumerate(names):
        data.save(folder / "cl_dataset" / name, i)
    rows = [
        data.conversation(name, question, letter, i)
        for i, (name, letter) in enumerate(zip(names, letters, strict=True))
    ]
    rows.insert(1, data.conversation(None, "Which is a mammal?", "A", 9))
    data.write_json(original / "ScienceQA/train.json", rows)
    tested = [data.evaluation(names[i], question, letters[i], i) for i in range(3)]
    tested.append(data.evaluation(None, "Which is a mammal?", "A", 9))
    data.write_json(original / "ScienceQA/test.json", tested)
    write_coin_coco(folder)


def write_coin_coco(folder: Path) -> None:
    """Writes the tasks on images of COCO, of which two share one."""
    original = folder / "Instructions_Original"
    names = [f"./COCO2014/train2014/COCO_train2014_{i:012d}.jpg" for i in (1, 2, 3)]
    for i, name in enumerate(names):
        data.save(folder / "cl_dataset" / name, i)
    several = [*names, names[0]]
    asked = "What color is it?" + WORD
    rows = [data.conversation(name, asked, data.color(i % 3), i) for i, name in enumerate(several)]
    data.write_json(original / "VQAv2/train.json", rows)
    rows = [data.evaluation(name, asked, data.color(i % 3), i) for i, name in enumerate(several)]
    data.write_json(original / "VQAv2/val.json", rows)
    box, asked = "[0.1, 0.2, 0.5, 0.8]", "Please provide the bounding box coordinate of it."
    rows = [data.conversation(name, asked, box, i) for i, name in enumerate(names)]
    data.write_json(original / "Grounding/train.json", rows)
    rows = [
        {"question_id": i, "image": name, "text": asked, "answer_bbox": box, "size": [24, 24]}
        for i, name in enumerate(names)
    ]
    data.write_json(original / "Grounding/test.json", rows)


def write_ucit(root: Path) -> None:
    folder = root / "vantuan5644/UCIT"
    asked = "What is the object in the image?" + WORD
    names = [f"ImageNet-R/train/n0{i % 3}/x_{i}.jpg" for i in range(6)]
    for i, name in enumerate(names):
        data.save(folder / "datasets" / name, i)
    rows = [data.conversation(name, asked, data.color(i), i) for i, name in enumerate(names)]
    data.write_json(folder / "instructions/ImageNet-R/train.json", rows)
    rows = [data.evaluation(name, asked, data.color(i), i) for i, name in enumerate(names[:3])]
    data.write_json(folder / "instructions/ImageNet-R/test_3000.json", rows)
    rows = []
    for i in range(4):
        data.save(folder / f"datasets/VizWiz/train/VizWiz_train_{i:08d}.jpg", i)
        data.save(folder / f"datasets/VizWiz/val/VizWiz_val_{i:08d}.jpg", i + 1)
        name = f"VizWiz/train/VizWiz_train_{i:08d}.jpg"
        rows.append(data.conversation(name, CAPTION, f"a {data.color(i)} thing", i))
    data.write_json(folder / "instructions/VizWiz/train.json", rows)
    files = [f"VizWiz_val_{i:08d}.jpg" for i in range(4)]
    references = [[f"{data.color(i + 1)} thing", f"it is {data.color(i + 1)} "] for i in range(4)]
    coco = data.coco_format(files, references)
    data.write_json(folder / "instructions/VizWiz/val_coco_type_3000.json", coco, indent=4)
    asked = [data.evaluation(f"VizWiz/val/{name}", CAPTION, "", i) for i, name in enumerate(files)]
    data.write_json(folder / "instructions/VizWiz/test_3000.json", asked)


def write_mllm_cl(root: Path) -> None:
    folder = root / "MLLM-CL/MLLM-CL"
    asked = "What color is it?" + WORD
    for part, tested_part in (("RS", "RS"), ("Fin", "Fin"), ("OCR", "OCR_test"), ("VP", "VP_test")):
        rows, tests = [], []
        for i in range(4):
            name = f"images/{i}.png"
            data.save(folder / part / name, i)
            data.save(folder / tested_part / name, i)
            rows.append(data.conversation(name, asked, data.color(i), i))
            tests.append(data.evaluation(name, asked, data.color(i), i))
        data.write_json(folder / part / "train.json", rows)
        data.write_json(folder / tested_part / "test.json", tests[:3])


Write = Callable[[Path], None]
STUDIES: dict[str, tuple[Write, tuple[str, str], str]] = {
    "coco-environments": (write_coco, ("animals", "food"), "clip"),
    "cub-environments": (write_cub, ("woodpeckers-hummingbirds", "sparrows-finches"), "clip"),
    "retrieval4": (write_retrieval, ("coco", "flickr30k"), "clip"),
    "vqacl": (write_vqa, ("count", "color"), "llava"),
    "coin": (write_coin, ("scienceqa", "grounding"), "llava"),
    "coin6": (write_coin, ("scienceqa", "vqav2"), "llava"),
    "ucit": (write_ucit, ("imagenet-r", "vizwiz"), "llava"),
    "mllm-cl": (write_mllm_cl, ("remote-sensing", "finance"), "llava"),
    "mllm-cl-ability": (write_mllm_cl, ("ocr", "perception"), "llava"),
}
"""By benchmark: what writes its data, two of its tasks, and the tiny model that learns them."""
