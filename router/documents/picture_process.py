"""The processes that decode pictures."""

from __future__ import annotations

from pathlib import Path

from router.documents.decoder_pool import DecoderPool
from router.documents.decoder_process import DecoderProcess

_SCRIPT = Path(__file__).parents[1] / "confined" / "picture_worker.py"
_PRELOAD = ("router.confined.picture_worker",)
_MAX_DOCUMENTS = 500


class PictureProcess(DecoderProcess):
    """A process with Pillow."""

    def __init__(self) -> None:
        super().__init__(_SCRIPT, _PRELOAD, _MAX_DOCUMENTS)


POOL = DecoderPool(PictureProcess, "picture", "save the picture again")
