"""One hostile document for each seed: the samples of this repository in all formats, changed; and PDFs drawn anew.

The same seed gives the same bytes with the same samples and the same Pillow.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks import fuzz_pdfs, fuzz_pictures

SAMPLES = Path(__file__).parents[1] / "samples"
_SIDES_PX = (97, 640)
_NUMBERS = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\1\0\0",
    b"99999999",
    b"-1 ",
)
_MAX_CHANGES = 8


@dataclass(frozen=True)
class Case:
    """A document and how it came about."""

    seed: int
    name: str
    data: bytes


def corpus() -> dict[str, bytes]:
    """Return name to bytes of the documents that are changed."""
    found = {
        path.name: path.read_bytes() for path in sorted(SAMPLES.iterdir()) if path.suffix in {".pdf", ".jpg", ".tiff"}
    }
    with Image.open(io.BytesIO((SAMPLES / "receipt-clean.png").read_bytes())) as page:
        for side in _SIDES_PX:
            small = page.convert("RGB")
            small.thumbnail((side, side))
            found |= {f"{side}-{name}": data for name, data in fuzz_pictures.pictures(small).items()}
    buffer = io.BytesIO()
    small.save(buffer, "PDF", resolution=100)
    return found | {"scan.pdf": buffer.getvalue()}


def make_case(seed: int, documents: dict[str, bytes]) -> Case:
    """Return the document of a seed."""
    rng = random.Random(seed)
    way = rng.random()
    if way < 0.15:
        return Case(seed, "drawn.pdf", fuzz_pdfs.pdf(rng))
    if way < 0.2:
        return Case(seed, "bomb", fuzz_pictures.bomb(rng))
    names = sorted(documents)
    name = rng.choice(names)
    data = documents[name]
    if way < 0.35:
        data = fuzz_pictures.with_size(rng, data)
    for _ in range(rng.randint(1, _MAX_CHANGES)):
        data = _changed(rng, data, documents[rng.choice(names)])
    if data.startswith(fuzz_pictures.PNG) and rng.random() < 0.7:
        data = fuzz_pictures.repaired(data)
    return Case(seed, name, data)


def _changed(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Return the bytes with one change; half of all places lie in the first kilobyte, where headers are."""
    at = rng.randrange(max(1, min(len(data), 1024 if rng.random() < 0.5 else len(data))))
    length = rng.choice((1, 2, 4, 16, 64, 300))
    head, tail = data[:at], data[at:]
    kind = rng.choice(("flip", "flip", "number", "delete", "insert", "repeat", "splice", "move", "cut", "tail"))
    if kind == "flip":
        return head + bytes([tail[0] ^ 1 << rng.randrange(8)]) + tail[1:] if tail else data
    if kind == "number":
        number = rng.choice(_NUMBERS)
        return head + number + tail[len(number) :]
    if kind == "delete":
        return head + tail[length:]
    if kind == "insert":
        return head + rng.randbytes(length) + tail
    if kind == "repeat":
        return head + tail[:length] * rng.choice((2, 5, 1000)) + tail[length:]
    if kind == "splice":
        start = rng.randrange(max(1, len(other)))
        return head + other[start : start + length * 20] + tail[length:]
    if kind == "move":
        return head + tail[length : 2 * length] + tail[:length] + tail[2 * length :]
    return head if kind == "cut" and len(head) > 64 else data + rng.randbytes(length)
