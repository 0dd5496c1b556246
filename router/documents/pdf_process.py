"""The processes that read PDFs."""

from __future__ import annotations

from pathlib import Path

from router.documents.decoder_pool import DecoderPool
from router.documents.decoder_process import DecoderProcess

_SCRIPT = Path(__file__).with_name("pdf_worker.py")
_PRELOAD = ("pypdfium2", "pypdfium2.raw", "router.confined.protocol")
_MAX_DOCUMENTS = 500


class PdfProcess(DecoderProcess):
    """A process with PDFium."""

    def __init__(self) -> None:
        super().__init__(_SCRIPT, _PRELOAD, _MAX_DOCUMENTS)


POOL = DecoderPool(PdfProcess, "PDF", "print the PDF to a new file")
