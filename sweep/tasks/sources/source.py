"""Says where the data of a task are and how they are read: an entry of `benchmark.tasks`."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from methods.data import Kind
from sweep.errors import InputError, unknown
from sweep.hub import HubOrFolder
from sweep.section import Section
from sweep.tasks.base import SCORES_OF, check_template

Templates = str | tuple[str, ...]
Role = Literal["train", "test"]
"""What a part of a task's data is for."""
_KIND_OF: dict[str, Kind] = {
    "label": "choices",
    "largest": "choices",
    "choices": "choices",
    "captions": "pairs",
    "answers": "answers",
}
"""Columns that tasks of one kind alone have."""
_OPTIONS_OF: dict[str, Kind] = {"template": "choices", "answer_tokens": "answers"}
"""Options of the same sort."""
_QUESTIONS: dict[Kind, str] = {
    "choices": "What is in the image?",
    "pairs": "Describe the image.",
    "answers": "Describe the image.",
}


class Columns(Section):
    """Which columns of a table hold what; "a.b" is the entry b of the structure a."""

    image: str = "image"
    image_id: str | None = Field(
        default=None,
        description="Rows with equal values show the same image; null: image_id, where there is "
        "such a column. Images in files of their own are known by their paths.",
    )
    label: str = Field(default="label", description="Of `choices`: the right one's number or name.")
    largest: str | None = Field(
        default=None,
        description="Where an image has several labels: the label of the object with most of this.",
    )
    question: str | None = Field(default=None, description="A question for every sample.")
    choices: str | tuple[str, ...] | None = Field(
        default=None,
        description="Choices of every sample: a list, or a column for each. The label is then "
        "the number of the right one (from 0), its letter, or its text.",
    )
    captions: str = Field(
        default="caption", description="Of `pairs`: a text with one per line, or a list of texts."
    )
    answers: str = Field(default="answer", description="Of `answers`: a text, or a list of texts.")


class Cut(Section):
    """Makes several tasks of one data set."""

    tasks: int | None = Field(
        default=None, ge=2, description="Cut the classes into so many tasks of equal size."
    )
    column: str | None = Field(default=None, description="Or: one task per value of this column.")
    seed: int | None = Field(
        default=None,
        ge=0,
        description="Shuffles the classes before, as numpy.random.RandomState(seed).permutation "
        "does (iCaRL and PILOT take 1993); null: as they are numbered.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.tasks is None) == (self.column is None):
            raise InputError("give either tasks, into how many, or column, one for each value.")
        if self.column is not None and self.seed is not None:
            raise InputError("a cut by column shuffles no classes, so it takes no seed.")
        return self


class Expected(Section):
    """What a protocol says about the sizes of a task; what differs is said, and used as it is."""

    train: int | None = Field(default=None, ge=0)
    test: int | None = Field(default=None, ge=0)
    classes: int | None = Field(default=None, ge=0)


class TaskSource(Section):
    """Where the data of a task are and how they are read."""

    path: HubOrFolder = Field(
        description="Hub id; or a folder or its URI: of images with a table or a folder per "
        "class, of parquet or webdataset files, of JSON files, or by save_to_disk."
    )
    config: str | None = Field(default=None, description="Configuration of a hub data set.")
    revision: str | None = Field(default=None, description="Branch, tag or commit on the hub.")
    files: dict[str, str] | None = Field(
        default=None,
        description="Files by split, relative to path, where their names do not tell: JSON of "
        "conversations, parquet, or tar files of a webdataset; * stands for any characters.",
    )
    images: str | dict[str, str] | None = Field(
        default=None,
        description="Folder, relative to path, of the images that a table names; or one by split.",
    )
    kind: Kind = Field(default="choices", description="What is learnt: choices, pairs, answers.")
    columns: Columns = Columns()
    test_columns: Columns | None = Field(
        default=None, description="Those of the split to test on; null: the same."
    )
    train: str | None = Field(default="train", description="Split to train on; a+b joins two.")
    test: str = Field(default="test", description="Split to test on.")
    split: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Cut one split (`train`) into so large a share to train on, and the rest to "
        "test on, as torch.utils.data.random_split does.",
    )
    split_seed: int = Field(default=42, ge=0, description="Of the samples drawn for that.")
    split_file: str | None = Field(
        default=None,
        description="JSON file that names the images of every split, as CoOp's split_zhou files.",
    )
    where: dict[str, str | int | tuple[str | int, ...]] = Field(
        default_factory=dict,
        description="Use only rows with these values, by column; of lists one is enough.",
    )
    classes: tuple[str, ...] | None = Field(
        default=None,
        description="Classes to use, as the data name them: label 0 is the first. null: all, as "
        "they are numbered, or sorted. Where labels are numbers without names: the names.",
    )
    rename: dict[str, str] | tuple[str, ...] = Field(
        default_factory=dict,
        description="What classes are called in prompts, by the names that the data give them (in "
        "those of all others '_' is read as a space); or a list of all of them, by their numbers, "
        "whatever the data call them.",
    )
    template: Templates = Field(
        default="a photo of a {}.", description="Prompts of dual encoders, with '{}' for the class."
    )
    question: str = Field(
        default="",
        description="For fusion models, where samples have none, or around those of samples, for "
        "which '{}' stands; '' : one by kind.",
    )
    shots: int | None = Field(
        default=None, ge=1, description="Training samples of every class, at most."
    )
    subset: int | None = Field(
        default=None, ge=1, description="Rows to train on, at most: samples, or images of `pairs`."
    )
    seed: int = Field(default=0, ge=0, description="Of the samples drawn for shots and subset.")
    cut: Cut | None = Field(default=None, description="Make several tasks of it.")
    score: str | None = Field(
        default=None,
        description="Which metric is the score: of choices accuracy or class_accuracy, of pairs "
        "recall, of answers exact_match, vqa_accuracy, anls, cider, rouge_l, iou, letter; null: "
        "the first of its kind.",
    )
    answer_tokens: int = Field(default=32, ge=1, description="Most tokens of a written answer.")
    expected: Expected = Field(
        default=Expected(), description="Sizes that a protocol gives; others are said."
    )
    licence: str | None = Field(default=None, description="As its source states it.")
    note: str | None = Field(default=None, description="What users of these data should know.")
    size: str | None = Field(default=None, description="About how much is downloaded: '1.2 GB'.")

    @field_validator("template")
    @classmethod
    def _has_a_place_for_the_class(cls, value: Templates) -> Templates:
        templates = (value,) if isinstance(value, str) else value
        for template in templates:
            check_template(template)
        if not templates:
            raise InputError("the list of templates is empty; give at least one.")
        return value

    @field_validator("classes")
    @classmethod
    def _classes_once(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if twice := sorted({name for name in classes or () if (classes or ()).count(name) > 1}):
            raise InputError(f"class '{twice[0]}' is given twice.")
        return classes

    @model_validator(mode="after")
    def _images_are_of_splits(self) -> Self:
        splits = [
            one.strip() for both in (self.train, self.test) for one in (both or "").split("+")
        ]
        for split in self.images if isinstance(self.images, dict) else ():
            if split not in splits:
                raise InputError(f"images: {unknown('split', split, filter(None, splits))}")
        return self

    @model_validator(mode="after")
    def _splits_agree(self) -> Self:
        if self.split is None:
            return self
        if self.train is None:
            raise InputError("split cuts the split `train` in two, and that is null.")
        if self.test not in ("test", self.train):
            raise InputError(
                f"split cuts '{self.train}' in two and tests on what is left, so that test: "
                f"'{self.test}' is not used; leave one of them out."
            )
        if self.test_columns:
            raise InputError("split makes both parts of one table, which has one set of columns.")
        return self

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        # Values and not which keys are there: a study that was written down has all of them.
        given: list[tuple[str, Kind, Section, str]] = [
            (name, kind, self, name) for name, kind in _OPTIONS_OF.items()
        ]
        for key, columns in (("columns", self.columns), ("test_columns", self.test_columns)):
            if columns is None:
                continue
            given += [(f"{key}.{name}", kind, columns, name) for name, kind in _KIND_OF.items()]
            if "{}" in self.question and columns.question is None:
                raise InputError(
                    f"question has '{{}}' for the questions of samples, but {key}.question does "
                    "not say where these are."
                )
        for what, kind, section, name in given:
            default = type(section).model_fields[name].default
            if kind != self.kind and getattr(section, name) != default:
                raise InputError(
                    f"{what} is for tasks of kind '{kind}', and this one is of kind '{self.kind}'; "
                    "set kind, or leave it out."
                )
        if not self.has_classes:
            self._refuse_what_needs_classes()
        if self.score is not None and self.score not in SCORES_OF[self.kind]:
            raise unknown(f"score of tasks of kind '{self.kind}'", self.score, SCORES_OF[self.kind])
        return self

    def _refuse_what_needs_classes(self) -> None:
        given = [name for name in ("classes", "rename", "shots") if getattr(self, name)]
        if self.columns.largest is not None:
            given.append("columns.largest")
        if self.cut and self.cut.tasks:
            given.append("cut.tasks")
        if self.score == "class_accuracy":
            given.append("score 'class_accuracy'")
        if given:
            hint = "; subset draws samples" if given[0] == "shots" else ""
            raise InputError(f"{given[0]} is for tasks with classes, and this one has none{hint}.")

    @property
    def has_classes(self) -> bool:
        """Returns whether one list of choices holds for all samples."""
        return self.kind == "choices" and self.columns.choices is None

    @property
    def templates(self) -> tuple[str, ...]:
        """Returns the prompts of dual encoders."""
        return (self.template,) if isinstance(self.template, str) else self.template

    @property
    def asked(self) -> str:
        """Returns the question for samples that have none."""
        return self.question or _QUESTIONS[self.kind]

    @property
    def scored_by(self) -> str:
        """Returns which metric is the score."""
        return self.score or SCORES_OF[self.kind][0]

    def as_read(self, role: str) -> Self:
        """Returns the same with the columns of the split to train, or to test on, alone.

        >>> source = TaskSource(path="me/x", test_columns={"label": "class"})
        >>> source.as_read("train").columns.label, source.as_read("test").columns.label
        ('label', 'class')
        """
        columns = self.test_columns if role == "test" and self.test_columns else self.columns
        return self.model_copy(update={"columns": columns, "test_columns": None})

    def images_of(self, split: str) -> str | None:
        """Returns the folder of the images of a split, relative to the path."""
        return self.images.get(split) if isinstance(self.images, dict) else self.images

    def put(self, question: str) -> str:
        """Returns the question of a sample as it is put to a model.

        >>> asked = {"kind": "answers", "columns": {"question": "ask"}, "question": "{} One word."}
        >>> TaskSource(path="me/x", **asked).put("What is it?")
        'What is it? One word.'
        """
        return self.question.replace("{}", question) if "{}" in self.question else question
