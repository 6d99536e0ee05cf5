"""The format of safetensors, and the digest in its metadata.

    8 bytes   length of the header, little-endian
    header    JSON: {"__metadata__": {...}, name: {"dtype", "shape", "data_offsets"}, ...}
    payload   the numbers of all tensors, without gaps

The metadata of our files holds a digest of everything else: names, types, shapes, the other
metadata, and all numbers. It is written beside a mark, so that damage to the digest's own name
does not make a foreign file of ours.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = [
    "CODES",
    "DIGEST",
    "MARK",
    "TREE",
    "Arrays",
    "bytes_of",
    "digest_of",
    "header_of",
    "ordered",
]

Arrays = dict[str, np.ndarray[Any, Any]]

MARK = "tinygrad_rnn.file"
DIGEST = "tinygrad_rnn.digest"
TREE = "tinygrad_rnn.tree"  # of what is more than arrays by name: what stands around them

CODES = {
    np.dtype(name): code
    for name, code in (
        ("bool", "BOOL"), ("int8", "I8"), ("int16", "I16"), ("int32", "I32"), ("int64", "I64"),
        ("uint8", "U8"), ("uint16", "U16"), ("uint32", "U32"), ("uint64", "U64"),
        ("float16", "F16"), ("float32", "F32"), ("float64", "F64"), ("complex64", "C64"),
    )
}  # fmt: skip


def ordered(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
    """By the size of their numbers, largest first, so that all are aligned; then by name."""
    return dict(sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])))


def digest_of(arrays: Arrays, metadata: Mapping[str, str]) -> str:
    """SHA-256 over what stands in a file, in an order that does not depend on the file's."""
    import hashlib  # when it is needed: importing the library is to cost nothing
    import json

    arrays = ordered(arrays)
    others = {name: text for name, text in sorted(metadata.items()) if name != DIGEST}
    tensors = [[name, CODES[array.dtype], array.shape] for name, array in arrays.items()]
    digest = hashlib.sha256(json.dumps([others, tensors]).encode())
    for array in arrays.values():
        digest.update(bytes_of(array))
    return digest.hexdigest()


def header_of(arrays: Arrays, metadata: Mapping[str, str]) -> bytes:
    """Length and header, of which the length does not depend on the digest."""
    import json

    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    begin = 0
    for name, array in arrays.items():
        end = begin + array.nbytes
        entries[name] = {
            "dtype": CODES[array.dtype],
            "shape": array.shape,
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def bytes_of(array: np.ndarray[Any, Any]) -> memoryview:
    """The bytes of a contiguous array, as they stand in memory."""
    return array.reshape(-1).view(np.uint8).data
