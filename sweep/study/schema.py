"""Defines the study file: what is swept, with what, and how; validated before anything runs."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from methods.base import Method, MethodConfig, Requirement, Towers
from methods.seeds import derive_seed
from sweep.errors import InputError, unknown
from sweep.orders.base import Design
from sweep.orders.order import Order
from sweep.orders.williams import Williams
from sweep.registry import check, parts, resolve
from sweep.section import MOST, Section, explain, explain_all, named, whole_numbers
from sweep.similarity import OF_EMBEDDINGS, OF_EXPERTS, OF_GRADIENTS
from sweep.study.backbones import BackboneConfig
from sweep.study.claims import check_answers, check_claims
from sweep.study.evaluation import Evaluation
from sweep.study.expert_sources import LoadedExperts, check_loadable
from sweep.study.reading import read_yaml
from sweep.study.reporting import Reporting
from sweep.study.sharing import check_sharing
from sweep.study.stopping import StoppingRule
from sweep.study.training import Training, check_losses, check_precision
from sweep.tasks.base import BenchmarkConfig, DataConfig, GeneratorConfig, ReferenceConfig

STUDIES = Path(__file__).parent.parent / "studies"
"""Folder of the studies that ship with the package."""


def _labelled(value: Any) -> Any:
    """Returns a mapping of labels to options; given a list of names, each is its own label."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        if len(set(map(str, value))) < len(value):
            raise InputError(f"got the same name twice in {value}; give every entry its own label.")
        value = {str(name): {} for name in value}
    if isinstance(value, dict):
        return {str(label): {} if options is None else options for label, options in value.items()}
    return value


class MethodEntry(Section):
    """A method with its options."""

    method: str = Field(description="A method's name or package.module:Class.")
    options: SerializeAsAny[MethodConfig]

    @property
    def kind(self) -> type[Method]:
        """The method's class."""
        kind: type[Method] = resolve("methods", self.method)
        return kind

    @property
    def needs(self) -> frozenset[Requirement]:
        """What the study must provide beside the tasks."""
        return self.kind.needs(self.options)

    @property
    def knows_task(self) -> bool:
        """Whether its predictions use the task of test data."""
        return self.kind.knows_task(self.options)

    @model_validator(mode="before")
    @classmethod
    def _options(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("method"), str):
            return value
        kind = resolve("methods", value["method"])
        check_claims(kind)
        if isinstance(value.get("options"), MethodConfig):
            return value
        options = {key: option for key, option in value.items() if key != "method"}
        try:
            made = kind.Config.model_validate(whole_numbers(kind.Config, options))
        except ValidationError as error:
            raise InputError(explain(error, kind.Config)) from None
        check_answers(kind, made)
        return {"method": value["method"], "options": made}


class Similarities(Section):
    """How the similarity of tasks is measured on the untouched backbones."""

    images: int = Field(default=500, ge=2, description="Training images of every task, at most.")
    measures: tuple[str, ...] = Field(
        default=tuple(OF_EMBEDDINGS),
        min_length=1,
        description="By default all that need only a forward pass. Gradient-based measures need "
        f"backward passes, curvature T^2 of them: {', '.join(OF_GRADIENTS)}. Expert-based measures "
        f"first train one expert per task on the machine that plans: {', '.join(OF_EXPERTS)}. Or "
        "package.module:Measure.",
    )

    @field_validator("measures")
    @classmethod
    def _known(cls, measures: tuple[str, ...]) -> tuple[str, ...]:
        for measure in measures:
            check("measures", measure)
        return tuple(dict.fromkeys(measures))


class Lanes(Section):
    """The long-lived training jobs that work through the study's stages."""

    count: Annotated[int, Field(ge=1, le=MOST)] | Literal["auto"] = Field(
        default="auto", description="Most lanes at a time; auto: as many as the cluster can hold."
    )
    workers: int = Field(default=1, ge=1, le=MOST, description="Data-parallel workers of a lane.")
    cpus_per_worker: float = Field(default=1, ge=0, le=MOST)
    gpus_per_worker: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        default="auto",
        description="auto: 1 if the cluster has GPUs, else 0; where it has none yet, and has still "
        "to grow, a number is needed.",
    )
    retries: int = Field(default=2, ge=0, description="How often to retry a stage that fails.")
    stage_timeout: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        default="auto",
        description="Minutes in which a stage may get nothing done, neither a training step nor a "
        "batch of an evaluation, before its lane is ended and the stage tried again; auto: ten "
        "times the longest stage so far, at least two hours.",
    )
    checkpoint_minutes: Annotated[float, Field(ge=0)] | None = Field(
        default=15,
        description="Minutes from one checkpoint of a stage in training to the next, from which it "
        "goes on if its lane is lost; null: it then begins anew.",
    )
    start_timeout: float = Field(
        default=60, gt=0, description="Minutes without any lane after which the study ends."
    )


class Study(Section):
    """Benchmark x backbones x methods x design x replicates, as a study file states them.

    >>> study = Study.load("quickstart", ("training.steps=10",))
    >>> list(study.methods), study.training.steps
    (['zero_shot', 'finetune', 'lora', 'er', 'individual'], 10)
    >>> Study.load("quickstart", ("training.step=10",))
    Traceback (most recent call last):
    ...
    sweep.errors.InputError: quickstart: training: Unknown key 'step'; ... Did you mean 'steps'?
    """

    name: str = Field(description="Letters, digits, '_', '-' and '.'.")
    benchmark: Annotated[SerializeAsAny[BenchmarkConfig], named("benchmarks")]
    backbones: dict[str, BackboneConfig] = Field(min_length=1)
    methods: dict[str, MethodEntry] = Field(min_length=1)
    design: Annotated[SerializeAsAny[Design], named("designs")] = Williams()
    replicates: int = Field(
        default=1, ge=1, le=MOST, description="Seeds, each with a block of orders."
    )
    stopping: StoppingRule | None = Field(
        default=None, description="When to stop before the last replicate; null: never."
    )
    seed: int = Field(default=0, ge=0, lt=2**63)
    reference: Annotated[
        SerializeAsAny[ReferenceConfig] | None, named("references", optional=True)
    ] = Field(
        default=None,
        description="Image-caption pairs outside of all tasks; null: the benchmark's.",
    )
    generator: Annotated[
        SerializeAsAny[GeneratorConfig] | None, named("generators", optional=True)
    ] = Field(default=None, description="Generates images of choices; null: the benchmark's.")
    similarity: Similarities | None = Field(
        default=None,
        description="Similarity to measure before training; null: only what the design needs.",
    )
    experts: LoadedExperts | None = Field(
        default=None,
        description="Experts of others, for the methods that merge experts; null: train them.",
    )
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    lanes: Lanes = Lanes()
    report: Reporting = Reporting()
    keep_states: Literal["all", "leaves", "none"] = Field(
        default="none", description="Which states stay on disk when no stage needs them any longer."
    )

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"[\w.-]{1,100}", name) or not name.strip("."):
            raise InputError(
                f"must be at most 100 letters, digits, '_', '-' and '.', and not only dots, "
                f"got '{name}'."
            )
        return name

    @field_validator("backbones", "methods", mode="before")
    @classmethod
    def _called_by_their_labels(cls, value: Any, info: ValidationInfo) -> Any:
        """A label is also the path of a backbone, or the name of a method, without another."""
        labelled, key = _labelled(value), "path" if info.field_name == "backbones" else "method"
        if not isinstance(labelled, dict):
            return labelled
        return {
            label: {key: label, **options} if isinstance(options, dict) else options
            for label, options in labelled.items()
        }

    @field_validator("design")
    @classmethod
    def _with_orders_of_its_benchmark(cls, design: Design, info: ValidationInfo) -> Design:
        """The study that is written into the run folder holds the orders themselves."""
        benchmark = info.data.get("benchmark")
        return design.with_published(benchmark.published_orders()) if benchmark else design

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        for method in self.stopping.methods if self.stopping else ():
            if method not in self.methods:
                raise unknown("method in stopping", method, self.methods)
        if self.training.batch_size % self.lanes.workers:
            raise InputError(
                f"training.batch_size {self.training.batch_size} must be a multiple of "
                f"lanes.workers {self.lanes.workers}."
            )
        kinds = {label: entry.kind for label, entry in self.methods.items()}
        check_sharing(kinds)
        check_losses(self.training, self.lanes.workers, kinds)
        check_precision(self.training, self.backbones)
        generator = self.data().get("generator")
        if isinstance(generator, GeneratorConfig):
            generator.check_draws_for(self.benchmark)
        if self.experts:
            check_loadable({name: (e.kind, e.options) for name, e in self.methods.items()})
        return self

    def towers_of(self, entry: MethodEntry) -> Towers | None:
        """Returns the parts of backbones in which a method learns; None: their own default."""
        return entry.options.towers or self.training.towers

    @classmethod
    def from_dict(cls, raw: Any, source: str = "study") -> "Study":
        """Validates the content of a study file.

        Raises:
            InputError: says in one sentence which key is wrong.
        """
        if not isinstance(raw, dict):
            raise InputError(f"{source}: must be a mapping of keys to values, got {raw!r}.")
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise InputError(explain(error, cls, source)) from None

    @classmethod
    def problems(cls, study: str | Path, overrides: tuple[str, ...] = ()) -> list[str]:
        """Returns all that is wrong with a study file, a sentence each; see `load`."""
        try:
            cls.load(study, overrides)
        except InputError as error:
            cause = error.__context__
            if isinstance(cause, ValidationError):
                return explain_all(cause, cls, str(study))
            return [str(error)]
        return []

    @classmethod
    def load(cls, study: str | Path, overrides: tuple[str, ...] = ()) -> "Study":
        """Reads a YAML file or a shipped study; `overrides` are "key.path=value" texts.

        Raises:
            InputError: there is no such study, or it cannot be used.
        """
        path = Path(study).expanduser()
        shipped = {file.stem: file for file in STUDIES.glob("*.yaml")}
        if str(study) in shipped and not path.is_file():
            path = shipped[str(study)]
        elif not path.exists():
            if path.suffix in (".yaml", ".yml") or path.parent != Path():
                raise InputError(f"Study file '{study}' does not exist.")
            raise unknown("study", str(study), shipped)
        return cls.from_dict(read_yaml(path, overrides), str(study))

    def anew(self) -> "Study":
        """Returns a copy that has not looked at any data yet; they may have changed since."""
        sections = {name: getattr(self, name) for name in ("benchmark", "reference", "generator")}
        return self.model_copy(update={name: s.anew() for name, s in sections.items() if s})

    def replicate_seed(self, replicate: int) -> int:
        """Returns the seed from which everything random in a replicate is derived."""
        return derive_seed(self.seed, "replicate", replicate)

    def reference_pool(self) -> ReferenceConfig:
        """Returns the study's reference pool, or the one that fits its benchmark.

        Raises:
            InputError: there is neither.
        """
        pool = self.reference or self.benchmark.reference()
        if pool is None:
            raise InputError(self._lacks("reference"))
        return pool

    def image_generator(self) -> GeneratorConfig:
        """Returns the study's generator, or the one that fits its benchmark.

        Raises:
            InputError: there is neither.
        """
        generator = self.generator or self.benchmark.generator()
        if generator is None:
            raise InputError(self._lacks("generator"))
        return generator

    def _lacks(self, need: Requirement) -> str:
        methods = [label for label, entry in self.methods.items() if need in entry.needs]
        return (
            f"method '{methods[0]}' needs a {need}, and benchmark '{self.benchmark.name}' has "
            f"none; add '{need}:' to the study, its name one of {', '.join(parts(f'{need}s'))}."
        )

    def data(self) -> dict[str, DataConfig]:
        """Returns where all data come from that this study's methods need, by section."""
        needs = {need for entry in self.methods.values() for need in entry.needs}
        found: dict[str, DataConfig] = {"benchmark": self.benchmark}
        if "reference" in needs:
            found["reference"] = self.reference_pool()
        if "generator" in needs:
            found["generator"] = self.image_generator()
        return found

    def protocol_remarks(self) -> list[str]:
        """Returns a sentence for everything that the benchmark's protocol evaluates otherwise."""
        own = self.evaluation.model_dump()
        return [
            f"The protocol of benchmark '{self.benchmark.name}' has evaluation.{key}: {value}, and "
            f"this study {own[key]}."
            for key, value in self.benchmark.protocol().items()
            if own[key] != value
        ]

    def check_data(self) -> None:
        """Looks at all data once, before anything starts.

        Raises:
            InputError: some of them cannot be used.
        """
        for config in self.data().values():
            config.check()

    def blocks(self, tasks: Sequence[str]) -> list[list[Order]]:
        """Returns the orders of every replicate.

        Args:
            tasks: Those of the benchmark.

        Raises:
            InputError: the design or `training.per_task` does not fit these tasks.
        """
        for task in self.training.per_task:
            if task not in tasks:
                raise unknown("task in training.per_task", task, tasks)
        return [
            self.design.orders(
                tasks, np.random.default_rng(derive_seed(self.replicate_seed(r), "orders"))
            )
            for r in range(self.replicates)
        ]
