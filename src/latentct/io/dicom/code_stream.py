"""The size that a compressed frame claims, read before a decoder takes memory for it."""

import struct

_JPEG_2000_START = b"\xff\x4f\xff\x51"
_JPEG_START = b"\xff\xd8"
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # F7 is JPEG-LS


def claimed_shape(frame: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) of a JPEG, JPEG-LS or JPEG 2000 frame, or None for another compression.

    Raises:
        struct.error: If the frame ends within what tells its size.
    """
    if frame.startswith(_JPEG_2000_START):
        right, bottom, left, top = struct.unpack(">4I", frame[8:24])
        return bottom - top, right - left
    return _jpeg_shape(frame) if frame.startswith(_JPEG_START) else None


def _jpeg_shape(frame: bytes) -> tuple[int, int]:
    place = len(_JPEG_START)
    while True:
        marker, length = struct.unpack(">xBH", frame[place : place + 4])
        if marker in _FRAME_MARKERS:
            rows, columns = struct.unpack(">HH", frame[place + 5 : place + 9])
            return rows, columns
        place += 2 + length
