"""Tensors of a GGUF and of a Hugging Face folder, from their headers alone."""

import dataclasses
import json
import math
import struct

from race.common import Failure

# GGUF value types with their sizes; 8 is a string, 9 an array.
VALUE_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
# GGML types by their names in safetensors; nothing else may stand in the file that races.
GGML_TYPES = {0: "F32", 1: "F16", 30: "BF16"}
ELEMENT_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Name, type and shape."""

    name: str
    dtype: str
    shape: list

    def bytes(self):
        """Its bytes in the file."""
        return math.prod(self.shape) * ELEMENT_BYTES[self.dtype]


class Cursor:
    """Reads little-endian values from an open file."""

    def __init__(self, file, path):
        self.file, self.path = file, path

    def take(self, count):
        data = self.file.read(count)
        if len(data) != count:
            raise Failure(f"{self.path}: the header ends early; delete the file and run this again")
        return data

    def number(self, kind):
        return struct.unpack("<" + kind, self.take(struct.calcsize(kind)))[0]

    def text(self):
        return self.take(self.number("Q")).decode("utf-8", errors="replace")

    def skip_value(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if inner in VALUE_BYTES:
                self.take(VALUE_BYTES[inner] * count)
                return
            for _ in range(count):
                self.skip_value(inner)
        elif kind in VALUE_BYTES:
            self.take(VALUE_BYTES[kind])
        else:
            raise Failure(f"{self.path}: unknown metadata type {kind}")


def gguf_tensors(path):
    """Every tensor of a GGUF."""
    with open(path, "rb") as file:
        cursor = Cursor(file, path)
        magic, version = cursor.take(4), cursor.number("I")
        if magic != b"GGUF" or version != 3:
            raise Failure(f"{path}: not a GGUF of version 3 (starts with {magic!r}, version {version})")
        tensors, pairs = cursor.number("Q"), cursor.number("Q")
        for _ in range(pairs):
            cursor.text()
            cursor.skip_value(cursor.number("I"))
        return [gguf_tensor(cursor) for _ in range(tensors)]


def gguf_tensor(cursor):
    name = cursor.text()
    shape = [cursor.number("Q") for _ in range(cursor.number("I"))]
    kind, _offset = cursor.number("I"), cursor.number("Q")
    if kind not in GGML_TYPES:
        raise Failure(f"{cursor.path}: {name} has GGML type {kind}, one of {GGML_TYPES} expected")
    return Tensor(name, GGML_TYPES[kind], shape)


def folder_tensors(folder):
    """Every tensor of the safetensors files of a folder."""
    tensors = []
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as file:
            cursor = Cursor(file, path)
            header = json.loads(cursor.take(cursor.number("Q")))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            if entry["dtype"] not in ELEMENT_BYTES:
                raise Failure(f"{path}: {name} is {entry['dtype']}, one of {', '.join(ELEMENT_BYTES)} expected")
            tensors.append(Tensor(name, entry["dtype"], entry["shape"]))
    if not tensors:
        raise Failure(f"{folder}: no *.safetensors in it; tools/get-model makes the default folder")
    return tensors
