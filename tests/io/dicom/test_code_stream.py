import struct

import pytest

from latentct.io.dicom.code_stream import claimed_shape


@pytest.mark.parametrize("marker", [0xC0, 0xC3, 0xF7], ids=["baseline", "lossless", "JPEG-LS"])
def test_the_size_of_a_jpeg_stands_behind_its_tables(marker):
    table = b"\xff\xc4" + struct.pack(">H", 6) + b"\xff\xc0\x00\x01"  # its content looks like a frame
    start = struct.pack(">BBHBHHB", 0xFF, marker, 11, 16, 512, 384, 1)
    assert claimed_shape(b"\xff\xd8" + table + start) == (512, 384)


def test_the_size_of_a_jpeg_2000_is_taken_from_its_offset():
    header = b"\xff\x4f\xff\x51" + struct.pack(">HH6I", 41, 0, 400, 520, 16, 8, 400, 520)
    assert claimed_shape(header) == (512, 384)


def test_other_compressions_claim_no_size():
    assert claimed_shape(b"\x01\0\0\0" + b"\0" * 60) is None


def test_a_truncated_frame_is_an_error():
    with pytest.raises(struct.error):
        claimed_shape(b"\xff\xd8\xff\xc4\x00")
