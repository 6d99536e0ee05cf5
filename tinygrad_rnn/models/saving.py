"""Models of text in folders: what they are, in JSON, and their numbers.

    model.json                  kind, vocabularies, arguments; which file has the numbers
    weights-<digest>.safetensors

A new model is there when ``model.json`` has been replaced, at once; until then the old one is.
The digest of the text of ``model.json`` stands in the file of the numbers, whose own digest is
checked when it is read: damage anywhere is an error. Neither holds code.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinygrad_rnn import text
from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, FileFormatError, SaveError, VocabularyError
from tinygrad_rnn.files import read, replacing, write
from tinygrad_rnn.files.layout import digest_of
from tinygrad_rnn.models.answerer import Answerer
from tinygrad_rnn.models.captioner import Captioner
from tinygrad_rnn.models.dialogue import Dialogue
from tinygrad_rnn.models.fixed_window import FixedWindow
from tinygrad_rnn.models.language_model import LanguageModel
from tinygrad_rnn.models.navigator import Navigator
from tinygrad_rnn.models.ngram import NGram
from tinygrad_rnn.models.path_matcher import PathMatcher
from tinygrad_rnn.models.saved import Saved
from tinygrad_rnn.models.seq2seq import Seq2Seq
from tinygrad_rnn.models.text_labels import TextLabels
from tinygrad_rnn.models.video import S2VT, MeanPooling
from tinygrad_rnn.nn import Module
from tinygrad_rnn.text.vocabulary import Vocabulary
from tinygrad_rnn.training.describing import describe
from tinygrad_rnn.training.saving import distinct, rebuilt

__all__ = ["load", "save"]

Folder = str | os.PathLike[str]
Json = dict[str, Any]

_KINDS = (
    Answerer, Captioner, Dialogue, FixedWindow, LanguageModel, MeanPooling, NGram, Navigator,
    PathMatcher, S2VT, Seq2Seq, TextLabels,
)  # fmt: skip
KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in _KINDS}

_FORMAT = 1
_SAID = "model.json"
_DIGEST = "tinygrad_rnn.model_json"
_WEIGHTS = re.compile(r"weights-[0-9a-f]{16}\.safetensors")


def save(folder: Folder, model: Saved) -> None:
    """Write a model and its vocabularies into a folder, in place of the one that is there."""
    where = f"{type(model).__name__}.save"
    said = _said(where, model)
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(
            f"{where}: the folder {str(place)!r} cannot be made: {(error.strerror or '').lower()}.",
            error.errno,
        ) from error
    arrays = distinct(model.state_dict())  # type: ignore[attr-defined]
    texts = {_DIGEST: _digest(said)}
    name = f"weights-{digest_of(arrays, texts)[:16]}.safetensors"
    write(place / name, arrays, texts, where)
    with replacing(place / _SAID, where) as file:
        file.write(json.dumps({**said, "weights": name}, indent=1).encode())
    for other in place.iterdir():
        if _WEIGHTS.fullmatch(other.name) and other.name != name:
            with suppress(OSError):
                other.unlink()


def load(
    folder: Folder,
    vocabulary: Vocabulary | Sequence[Vocabulary | None] | None = None,
    custom: Mapping[str, Any] | None = None,
) -> Any:
    """The model that ``save`` has written into a folder, with the same numbers to the bit.

    Args:
        vocabulary: The one that the text at hand is read with; that another one was saved is an
            error, which says how they differ. A model that was saved without one gets it. For a
            translator a pair, of source and target.
        custom: The classes and functions that are not the library's, by the names that they had:
            ``{"MyCell": MyCell}``.
    """
    where, place = "models.load", Path(folder)
    said = _read(where, place)
    try:
        name, kind = said.pop("weights"), said["kind"]
        if said["format"] != _FORMAT or kind not in KINDS or not _WEIGHTS.fullmatch(name):
            raise FileFormatError(
                f"{where}: {str(place / _SAID)!r} is of format {shortened(said['format'])}, kind "
                f"{shortened(kind)}, weights {shortened(name)}; expected format {_FORMAT} and one "
                f"of {', '.join(KINDS)}. A newer version of the library may have written it."
            )
        arguments, described = said["model"], said["vocabularies"]
        if not (isinstance(arguments, dict) and isinstance(described, dict)):
            raise FileFormatError(
                f"{where}: {str(place / _SAID)!r} has a model {shortened(arguments)} and "
                f"vocabularies {shortened(described)}, expected a mapping for each."
            )
    except (KeyError, TypeError) as error:
        raise FileFormatError(f"{where}: {str(place / _SAID)!r} lacks {error}.") from error
    arrays, texts = read(place / name, where)
    if texts.get(_DIGEST) != _digest(said):
        raise FileFormatError(
            f"{where}: {str(place / _SAID)!r} is not what {name} was written with: it was changed "
            "or is damaged."
        )
    if issubclass(KINDS[kind], Module):
        model = rebuilt(where, arguments, arrays, {**KINDS, **(custom or {})})
    else:
        model = KINDS[kind](**arguments)
        model.load_state_dict(arrays)
    names = KINDS[kind].vocabularies
    for name, given in zip(names, _one_for_each(where, names, vocabulary), strict=True):
        saved = None if described.get(name) is None else text.vocabulary(described[name])
        agreed = _agreed(where, place, saved, given, getattr(model, names[name]))
        setattr(model, name, agreed)
    return model


def _one_for_each(where: str, names: Mapping[str, str], given: Any) -> Sequence[Vocabulary | None]:
    """The vocabularies given to ``load``, one or None for each that the model has."""
    found: Sequence[Any]
    if given is None:
        found = [None] * len(names)
    else:
        found = given if isinstance(given, list | tuple) else [given]
    if len(found) != len(names) or not all(isinstance(v, Vocabulary | None) for v in found):
        raise ArgumentError(
            f"{where}: vocabulary is {shortened(given)}, expected {' and '.join(names)}."
        )
    return found


def _said(where: str, model: Saved) -> Json:
    """All that is to be known of a model but its numbers."""
    kind = type(model).__name__
    if KINDS.get(kind) is not type(model):
        raise ArgumentError(
            f"{where}: given a {kind}, expected one of {', '.join(KINDS)}; another module is saved "
            "by training.save_model."
        )
    if isinstance(model, Module):
        arguments = describe(model, dict(KINDS), where)
    else:
        arguments = model.made_with()
    for name, size in model.vocabularies.items():
        given, expected = getattr(model, name), getattr(model, size)
        if given is not None and len(given) != expected:
            raise VocabularyError(
                f"{where}: {name} has {len(given)} tokens, the model {expected}, expected as many."
            )
    described = {
        name: None if getattr(model, name) is None else getattr(model, name).description()
        for name in model.vocabularies
    }
    return {"format": _FORMAT, "kind": kind, "vocabularies": described, "model": arguments}


def _digest(said: Json) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _read(where: str, place: Path) -> Json:
    try:
        said = json.loads((place / _SAID).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileFormatError(
            f"{where}: {str(place)!r} holds no {_SAID}, expected a folder that a model was saved "
            "into."
        ) from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{where}: {str(place / _SAID)!r} is no JSON: {error}.") from error
    if not isinstance(said, dict):
        raise FileFormatError(f"{where}: {str(place / _SAID)!r} holds {shortened(said)}.")
    return said


def _agreed(
    where: str, place: Path, saved: Vocabulary | None, given: Vocabulary | None, size: int
) -> Vocabulary | None:
    """The vocabulary of a model that is loaded."""
    if saved is not None and len(saved) != size:
        raise FileFormatError(
            f"{where}: the vocabulary in {str(place)!r} has {len(saved)} tokens, the model {size}."
        )
    if given is None or given == saved:
        return saved
    if saved is not None:
        raise VocabularyError(
            f"{where}: the vocabulary given is not that of the model in {str(place)!r} (second): "
            f"{given.difference(saved)}."
        )
    if len(given) != size:
        raise VocabularyError(
            f"{where}: the vocabulary given has {len(given)} tokens, the model in {str(place)!r} "
            f"{size}."
        )
    return given
