"""JPEGs that lack only their end mark. Knows markers, not pixels.

Whether all of the picture is there is told by what follows it: a decoder that has all looks for a marker, one that has
not reads on. So the picture is whole where it does not change with what is appended.
"""

from __future__ import annotations

NOTE = "the JPEG's end mark is missing, though the picture is whole; if something was cut off, send the file again"
_END = b"\xff\xd9"
_NOISE = b"\xa5\x5a\xc3" * 40
_SCAN = b"\xff\xda"
_PROGRESSIVE = b"\xff\xc2"


def ended(data: bytes) -> tuple[bytes, bytes]:
    """Return two files that show the same picture if, and only if, nothing but the end mark is missing."""
    begun = data.removesuffix(_END[:1])
    return begun + _NOISE + _END, begun + _END


def may_be_whole(data: bytes) -> bool:
    """Return whether the end mark is missing, or its second half, and the last scan is one that a file can end with."""
    return not data.endswith(_END) and _has_last_scan(data)


def _has_last_scan(data: bytes) -> bool:
    """Return whether the last scan brings its coefficients' last bit, as a progressive file's last one does."""
    at = data.rfind(_SCAN)
    last = at + 1 + int.from_bytes(data[at + 2 : at + 4], "big")
    return _PROGRESSIVE not in data[:at] or (last < len(data) and data[last] & 0x0F == 0)
