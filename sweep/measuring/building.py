"""Makes sure that every method can be built on every backbone, before anything is trained."""

import copy
import hashlib
from importlib.metadata import version
from typing import TYPE_CHECKING

from sweep import file_digests
from sweep.errors import InputError
from sweep.registry import name_of
from sweep.study.backbones import Source
from sweep.study.pinned import Pinned
from sweep.study.schema import MethodEntry, Study

if TYPE_CHECKING:
    from methods.backbones.pretrained import PretrainedBackbone

BUILT = f"method can be built, 1, torch {version('torch')}, transformers {version('transformers')}"
"""What is noted about a method with its options and a backbone; another number checks all again."""


def check_builds(study: Study, pinned: Pinned) -> None:
    """Builds every method on every backbone, once and for all, of tensors without content.

    It takes no weights and no memory for any, up to half a second for a method on a model of real
    size, and no time where it has been done before.

    Raises:
        InputError: a method says that it cannot be built on a backbone with these options.
    """
    for label, source in pinned.sources.items():
        contents = {
            method: _content(study, pinned, source, entry)
            for method, entry in study.methods.items()
        }
        known = file_digests.known(BUILT, set(contents.values()))
        if missing := [method for method, content in contents.items() if content not in known]:
            backbone = _without_weights(source)
            for method in missing:
                reason = backbone and _refusal(study, study.methods[method], backbone)
                if reason:
                    raise InputError(f"method '{method}' on backbone '{label}': {reason}.")
            file_digests.note(BUILT, [contents[method] for method in missing])


def _content(study: Study, pinned: Pinned, source: Source, entry: MethodEntry) -> bytes:
    """Returns a digest of all that building a method depends on."""
    name = name_of("methods", entry.kind)
    options, towers = entry.options.model_dump_json(), study.towers_of(entry)
    facts = source.fingerprint, repr(source.config), name, pinned.code[name], options, towers
    return hashlib.sha256(repr(facts).encode()).digest()


def _without_weights(source: Source) -> "PretrainedBackbone | None":
    """Returns a backbone without content; None if it cannot do without its weights."""
    from methods.backbones.loading import load_without_weights  # imports transformers: seconds
    from methods.without_content import without_content

    config = source.config
    try:
        backbone = load_without_weights(
            source.location, source.commit, config.answer, config.image_size, config.attention
        )
        with without_content():
            _ = backbone.width  # a first pass, which all methods ask for
    except Exception:  # whatever a model needs content for; its stages will tell
        return None
    return backbone


def _refusal(study: Study, entry: MethodEntry, backbone: "PretrainedBackbone") -> str | None:
    """Returns why a method cannot be built, the end of a sentence; None: nothing is known of it."""
    from methods.backbones.consistency import first_line
    from methods.without_content import without_content

    tokenizer = backbone.tokenizer  # large, and changed by no method
    with without_content():
        own = copy.deepcopy(backbone, {id(tokenizer): tokenizer})
        if towers := study.towers_of(entry):
            own.learn_in(towers)
        try:
            entry.kind(own, entry.options)
        except ValueError as error:
            return first_line(error)
        except Exception:  # whatever it needs content for; its stages will tell
            return None
    return None
