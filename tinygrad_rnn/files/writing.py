"""Writing: arrays by name, and text about them."""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.device import on_gpu, to_host
from tinygrad_rnn.errors import ArgumentError, DTypeError, TinygradError
from tinygrad_rnn.files.atomic import replacing
from tinygrad_rnn.files.layout import (
    CODES,
    DIGEST,
    MARK,
    TREE,
    bytes_of,
    digest_of,
    header_of,
    ordered,
)
from tinygrad_rnn.files.trees import flatten
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = ["save", "write"]

Path = str | os.PathLike[str]


def save(path: Path, tensors: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write the tensors of a module, or a dict of arrays, as a safetensors file.

        tg.save("model.safetensors", model)
        tg.save("run.safetensors", {"model": model.state_dict(), "optimizer": adam.state_dict()})

    The file takes the place of an older one when it is whole and on the disk: a full disk or a
    kill costs nothing. It holds a digest, by which ``load`` notices any damage.

    Args:
        tensors: A module, or whatever has a ``state_dict()``; a dict from names to arrays; or
            one that holds other dicts, lists, tuples, numbers and texts, too.
        metadata: Texts by name, to be written beside them.
    """
    if isinstance(path, Mapping) or hasattr(path, "state_dict"):
        raise ArgumentError(
            "save: the path is a module or a dict; it comes first: save(path, tensors)."
        )
    if not isinstance(tensors, Mapping):
        if not hasattr(tensors, "state_dict"):
            raise ArgumentError(
                f"save: tensors is a {type(tensors).__name__}, expected a module or a dict of "
                "arrays."
            )
        tensors = tensors.state_dict()
    if not all(map(_is_array, tensors.values())):
        if metadata and TREE in metadata:
            raise ArgumentError(f"save: metadata has {TREE!r}, expected another name.")
        tensors, rest = flatten(dict(tensors), "save")
        metadata = {**(metadata or {}), TREE: json.dumps(rest)}
    write(path, tensors, metadata)


def write(
    path: Path,
    arrays: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    where: str = "save",
) -> None:
    """``save`` for a dict; ``where`` is what errors name."""
    from concurrent.futures import ThreadPoolExecutor

    found = ordered({_name(where, name): _array(where, name, a) for name, a in arrays.items()})
    texts = {MARK: "1", DIGEST: "0" * 64, **_texts(where, metadata or {})}
    with replacing(path, where) as file, ThreadPoolExecutor(1) as beside:
        digest = beside.submit(digest_of, found, texts)  # while the numbers go to the disk
        file.write(header_of(found, texts))
        for array in found.values():
            file.write(bytes_of(array))
        file.write_start(header_of(found, {**texts, DIGEST: digest.result()}))


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic | Tensor) or on_gpu(value)


def _name(where: str, name: Any) -> str:
    if not isinstance(name, str) or name == "__metadata__" or not _is_text(name):
        raise ArgumentError(
            f"{where}: a tensor has the name {name!r}, expected a string that can be encoded, "
            "other than '__metadata__'."
        )
    return name


def _array(where: str, name: str, given: Any) -> np.ndarray[Any, Any]:
    try:
        array = to_host(as_array(given))
    except TinygradError:
        raise DTypeError(
            f"{where}: {name!r} is a {type(given).__name__}, expected an array or a Tensor."
        ) from None
    native = array.dtype.newbyteorder("<")
    if native not in CODES:
        raise DTypeError(
            f"{where}: {name!r} holds {array.dtype}, which a safetensors file cannot; expected one "
            f"of {', '.join(str(dtype) for dtype in CODES)}."
        )
    return np.asarray(array, native, order="C")


def _texts(where: str, metadata: Mapping[str, str]) -> dict[str, str]:
    for name, text in metadata.items():
        if not _is_text(name) or not _is_text(text) or name in (MARK, DIGEST):
            raise ArgumentError(
                f"{where}: metadata has {name!r}: {text!r}, expected texts by name, other than "
                f"{MARK!r} and {DIGEST!r}."
            )
    return dict(metadata)


def _is_text(value: Any) -> bool:
    """Whether it can stand in the header: lone surrogates cannot."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False
