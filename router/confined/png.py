"""A PNG's chunks. Knows their names and lengths, not what a picture is."""

from __future__ import annotations

import struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">I4s")
_CRC_BYTES = 4
_DROPPED = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})
_XMP = b"XML:com.adobe.xmp\0\0"
_MAX_XMP_BYTES = 1_000_000


def without_texts(data: bytes) -> bytes:
    """Return the file without texts and colour profile, which may unpack to any size and show nothing.

    XMP of a usual size stays, since it may tell the orientation. A file without any such chunk is returned as it is.
    """
    kept, kept_from, at = [], 0, len(SIGNATURE)
    while at + _HEAD.size <= len(data):
        length, kind = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length + _CRC_BYTES
        if end > len(data):
            break
        if kind in _DROPPED and not _is_plain_xmp(data, at + _HEAD.size, length):
            kept.append(data[kept_from:at])
            kept_from = end
        at = end
    return b"".join([*kept, data[kept_from:]]) if kept_from else data


def _is_plain_xmp(data: bytes, at: int, length: int) -> bool:
    return length <= _MAX_XMP_BYTES and data.startswith(_XMP, at)
