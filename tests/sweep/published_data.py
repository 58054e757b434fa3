"""Data sets that named benchmarks use, small, but written as those who publish them write them.

Every function writes one below a root, where a benchmark looks for a copy of what is on the hub.
Images are of one colour, red, green or blue in turn.
"""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from PIL import Image

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
COCO_NAMES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat"),
    *("dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack"),
    *("umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball"),
    *("kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket"),
    *("bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair"),
    *("couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse"),
    *("remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier"),
    "toothbrush",
)
"""In COCO's order."""


def color(number: int) -> str:
    """Returns the colour of the image of a number."""
    return list(COLORS)[number % len(COLORS)]


def picture(number: int) -> Image.Image:
    """Returns the image of a number; each is another file."""
    image = Image.new("RGB", (24 + number, 24), COLORS[color(number)])
    image.putpixel((0, 0), (number, number, number))
    return image


def jpeg(number: int) -> bytes:
    """Returns the same as a file."""
    buffer = io.BytesIO()
    picture(number).save(buffer, "JPEG")
    return buffer.getvalue()


def save(file: Path, number: int) -> None:
    """Writes it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    picture(number).save(file)


def parquet(folder: Path, split: str, columns: Mapping[str, Any], features: Any) -> None:
    """Writes a split as `push_to_hub` does."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = datasets.Dataset.from_dict(dict(columns), features=datasets.Features(features))
    rows.to_parquet(folder / f"{split}-00000-of-00001.parquet")


def shard(file: Path, samples: Sequence[Mapping[str, bytes]], first: int = 0) -> None:
    """Writes a shard of a webdataset: a file for every part of every sample."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for number, sample in enumerate(samples, start=first):
            for ending, content in sample.items():
                member = tarfile.TarInfo(f"s{number:07d}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def write_json(file: Path, content: Any, **options: Any) -> None:
    """Writes a file of JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, **options), encoding="utf-8")


# --- choices -------------------------------------------------------------------------------------


def coco_detection(root: Path, images: Mapping[str, Sequence[Sequence[tuple[str, float]]]]) -> None:
    """Writes detection-datasets/coco: of every image the categories and areas of its objects."""
    objects = {
        "bbox_id": datasets.Value("int64"),
        "category": datasets.ClassLabel(names=list(COCO_NAMES)),
        "bbox": datasets.List(datasets.Value("float64"), length=4),
        "area": datasets.Value("float64"),
    }
    features = {
        "image_id": datasets.Value("int64"),
        "image": datasets.Image(),
        "width": datasets.Value("int32"),
        "height": datasets.Value("int32"),
        "objects": {name: datasets.List(kind) for name, kind in objects.items()},
    }
    for split, those in images.items():
        columns = {
            "image_id": list(range(len(those))),
            "image": [picture(i) for i in range(len(those))],
            "width": [24] * len(those),
            "height": [24] * len(those),
            "objects": [
                {
                    "bbox_id": list(range(len(one))),
                    "category": [COCO_NAMES.index(name) for name, _ in one],
                    "bbox": [[0.0, 0.0, 1.0, 1.0]] * len(one),
                    "area": [area for _, area in one],
                }
                for one in those
            ],
        }
        parquet(root / "detection-datasets/coco/data", split, columns, features)


def cub(root: Path, names: Sequence[str], shown: Sequence[str], each: int) -> None:
    """Writes bentrevett/caltech-ucsd-birds-200-2011, with images of some of its classes."""
    features = {
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=list(names)),
        "bbox": datasets.List(datasets.Value("float32"), length=4),
    }
    labels = [names.index(name) for name in shown] * each
    for split in ("train", "test"):
        columns = {
            "image": [picture(i) for i in range(len(labels))],
            "label": labels,
            "bbox": [[0.0, 0.0, 9.0, 9.0]] * len(labels),
        }
        folder = root / "bentrevett/caltech-ucsd-birds-200-2011/data"
        parquet(folder, split, columns, features)


# --- pairs ---------------------------------------------------------------------------------------


def captions(number: int) -> list[str]:
    """Returns what people say of the image of a number."""
    return [f"{color(number)} {word}" for word in "abcde"]


def coco_captions(root: Path, train: int, test: int) -> None:
    """Writes clip-benchmark/wds_mscoco_captions, two shards to train on and one to test on."""
    folder = root / "clip-benchmark/wds_mscoco_captions"
    samples = [
        {"jpg": jpeg(i), "txt": "\n".join(captions(i)).encode()} for i in range(max(train, test))
    ]
    shard(folder / "train/0.tar", samples[: train // 2])
    shard(folder / "train/1.tar", samples[train // 2 : train], first=train // 2)
    shard(folder / "test/0.tar", samples[:test])


def flickr30k(root: Path, train: int, test: int) -> None:
    """Writes AnyModal/flickr30k."""
    texts = datasets.List(datasets.Value("string"))
    features = {
        "image": datasets.Image(),
        "alt_text": texts,
        "sentids": texts,
        "split": datasets.Value("string"),
        "img_id": datasets.Value("string"),
        "filename": datasets.Value("string"),
        "original_alt_text": texts,
    }
    for split, count in (("train", train), ("validation", 2), ("test", test)):
        columns = {
            "image": [picture(i) for i in range(count)],
            "alt_text": [["rewritten"]] * count,
            "sentids": [[str(5 * i + k) for k in range(5)] for i in range(count)],
            "split": [split] * count,
            "img_id": [str(i) for i in range(count)],
            "filename": [f"{i}.jpg" for i in range(count)],
            "original_alt_text": [captions(i) for i in range(count)],
        }
        parquet(root / "AnyModal/flickr30k/data", split, columns, features)


def visual_genome(root: Path, images: int) -> None:
    """Writes region_descriptions.json and the images of Visual Genome, as its site has them."""
    folder = root / "visual-genome"
    rows = [
        {
            "id": i,
            "regions": [
                {"region_id": 9 * i + k, "image_id": i, "phrase": text, "x": 0, "y": 0}
                for k, text in enumerate([*captions(i), "a sixth"])
            ],
        }
        for i in range(images)
    ]
    rows.append({"id": images, "regions": []})
    write_json(folder / "region_descriptions.json", rows)
    for i in range(images):
        save(folder / ("VG_100K" if i % 2 else "VG_100K_2") / f"{i}.jpg", i)


def conceptual_captions(root: Path, train: int, test: int) -> None:
    """Writes pixparse/cc3m-wds."""
    for split, count in (("train", train), ("validation", test)):
        samples = [
            {
                "jpg": jpeg(i),
                "json": json.dumps({"url": f"https://x/{i}"}).encode(),
                "txt": captions(i)[0].encode(),
            }
            for i in range(count)
        ]
        shard(root / f"pixparse/cc3m-wds/cc3m-{split}-0000.tar", samples)


# --- answers -------------------------------------------------------------------------------------


def vqa_v2(root: Path, rows: Mapping[str, Sequence[tuple[int, str, str, Sequence[str]]]]) -> None:
    """Writes lmms-lab/VQAv2-FewShot: image, question type, question and ten answers of each row."""
    answer = {
        "answer": datasets.Value("string"),
        "answer_confidence": datasets.Value("string"),
        "answer_id": datasets.Value("int64"),
    }
    features = {
        "question_type": datasets.Value("string"),
        "multiple_choice_answer": datasets.Value("string"),
        "answers": datasets.List(answer),
        "image_id": datasets.Value("int64"),
        "answer_type": datasets.Value("string"),
        "question_id": datasets.Value("int64"),
        "question": datasets.Value("string"),
        "image": datasets.Image(),
    }
    folder = root / "lmms-lab/VQAv2-FewShot"
    for split, those in rows.items():
        columns = {
            "question_type": [kind for _, kind, _, _ in those],
            "multiple_choice_answer": [said[0] for *_, said in those],
            "answers": [
                [
                    {"answer": text, "answer_confidence": "yes", "answer_id": k}
                    for k, text in enumerate(said, start=1)
                ]
                for *_, said in those
            ],
            "image_id": [image for image, *_ in those],
            "answer_type": ["other"] * len(those),
            "question_id": list(range(len(those))),
            "question": [question for _, _, question, _ in those],
            "image": [picture(image) for image, *_ in those],
        }
        parquet(folder / "full", split, columns, features)
    files = "\n".join(f"  - split: {split}\n    path: full/{split}-*" for split in rows)
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- config_name: eval\n  data_files: eval/*\n- config_name: full\n"
        f"  data_files:\n{files}\n---\n"
    )


def conversation(image: str | None, question: str, answer: str, number: int) -> dict[str, Any]:
    """Returns a row to train on, as LLaVA has it; those without an image have no such key."""
    asked = f"<image>\n{question}" if image else question
    row = {
        "id": str(number),
        "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}],
    }
    return row | ({"image": image} if image else {})


def evaluation(image: str | None, question: str, answer: str, number: int) -> dict[str, Any]:
    """Returns a row to test on, as CoIN, UCIT and MLLM-CL have it."""
    row = {"question_id": str(number), "text": question, "answer": answer}
    return row | ({"image": image} if image else {})


def coco_format(files: Sequence[str], said: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Returns references of captions, as COCO's evaluation takes them."""
    return {
        "images": [{"id": i, "file_name": file} for i, file in enumerate(files, start=1)],
        "annotations": [
            {"id": 10 * i + k, "image_id": i, "caption": text}
            for i, texts in enumerate(said, start=1)
            for k, text in enumerate(texts)
        ],
        "categories": [{"id": 1, "name": "captioning"}],
    }
