"""Finds the OCR model files in installed wheels and loads them. Knows no page and no field.

A recogniser scores every character of its dictionary at every step: 18,710 for PP-OCRv6, nearly all of them Chinese.
Cutting the output layer to the Latin alphabet is exact for the characters kept (softmax over fewer classes), takes a
tenth off the time and rules out answers in another script.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from router.errors import BackendUnavailableError

_PUNCTUATION = "–—‘’“”„•…€₹£¥№™"
SECOND_RECOGNISER_HINT = (
    "pip install --no-deps --ignore-requires-python rapidocr-onnxruntime==1.4.4 "
    "(only its model files are used; `make setup` does this)"
)


@dataclass(frozen=True)
class RecognitionModel:
    """A loaded line recogniser; class 0 is the CTC blank, class i is `alphabet[i - 1]`."""

    name: str
    session: onnxruntime.InferenceSession
    alphabet: tuple[str, ...]


def model_path(package: str, filename: str) -> Path:
    """Return the path of a wheel's model file; raise `BackendUnavailableError` with the install command."""
    spec = importlib.util.find_spec(package)
    hint = SECOND_RECOGNISER_HINT if package == "rapidocr_onnxruntime" else f"pip install {package}"
    if spec is None or not spec.submodule_search_locations:
        raise BackendUnavailableError(f"the package {package} is not installed: {hint}")
    path = Path(next(iter(spec.submodule_search_locations))) / "models" / filename
    if not path.is_file():
        raise BackendUnavailableError(f"{filename} is missing from the package {package}: reinstall it with {hint}")
    return path


@cache
def first_recogniser() -> RecognitionModel:
    """Return PP-OCRv6 small, the recogniser of the fast lane."""
    return _load("PP-OCRv6-small", model_path("rapidocr", "PP-OCRv6_rec_small.onnx"))


@cache
def second_recogniser() -> RecognitionModel:
    """Return PP-OCRv4, the deep lane's second recogniser: weaker alone, but it errs elsewhere."""
    return _load("PP-OCRv4", model_path("rapidocr_onnxruntime", "ch_PP-OCRv4_rec_infer.onnx"))


@cache
def detector_session() -> onnxruntime.InferenceSession:
    """Return PP-OCRv6 small, the line detector: pixels (1, 3, height, width) to a text map (1, 1, height, width)."""
    return _open(model_path("rapidocr", "PP-OCRv6_det_small.onnx").read_bytes())


@cache
def orientation_session() -> onnxruntime.InferenceSession:
    """Return the line orientation classifier: a line (1, 3, 48, 192) to its chances to be upright and upside down."""
    return _open(model_path("rapidocr", "ch_ppocr_mobile_v2.0_cls_mobile.onnx").read_bytes())


def _load(name: str, path: Path) -> RecognitionModel:
    model = onnx.load(path)
    alphabet = _cut_to_latin(model)
    return RecognitionModel(name, _open(model.SerializeToString()), alphabet)


def _open(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # documents run in parallel, one process a core: threads inside would only contend
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _is_latin(character: str) -> bool:
    return len(character) == 1 and (
        0x20 <= ord(character) < 0x7F or 0xA1 <= ord(character) < 0x180 or character in _PUNCTUATION
    )


def _cut_to_latin(model: onnx.ModelProto) -> tuple[str, ...]:
    """Keep only Latin classes of the output layer, in place; return the alphabet, whose last entry is the space."""
    characters = next(p.value for p in model.metadata_props if p.key == "character").split("\n")
    classes = len(characters) + 2  # the blank before, the space after
    kept = [i for i, c in enumerate(characters) if _is_latin(c)]
    columns = np.array([0, *(i + 1 for i in kept), classes - 1])
    product = [n for n in model.graph.node if n.op_type == "MatMul"][-1]
    bias = next(n for n in model.graph.node if n.op_type == "Add" and product.output[0] in n.input)
    _cut_columns(model, product.input[1], columns)
    _cut_columns(model, next(i for i in bias.input if i != product.output[0]), columns)
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = len(columns)
    del model.graph.value_info[:]
    return (*(characters[i] for i in kept), " ")


def _cut_columns(model: onnx.ModelProto, name: str, columns: np.ndarray) -> None:
    tensors = [t for t in model.graph.initializer if t.name == name]
    tensors += [n.attribute[0].t for n in model.graph.node if n.op_type == "Constant" and n.output[0] == name]
    array = np.ascontiguousarray(numpy_helper.to_array(tensors[0])[..., columns])
    tensors[0].CopyFrom(numpy_helper.from_array(array, tensors[0].name))
