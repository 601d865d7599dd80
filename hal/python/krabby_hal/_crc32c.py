"""CRC-32C (Castagnoli) of short byte strings, by array operations of numpy."""

from __future__ import annotations

import functools

import numpy
import numpy.typing

Buffer = bytes | bytearray | memoryview

MAX_BYTES = 64 + 32 * 64
"""Maximum length of the data: that of the largest header and table of a frame."""


def crc32c(data: Buffer) -> int:
    """Returns the CRC-32C of data, which has at most MAX_BYTES bytes.

    A CRC is linear: it is the sum of the contributions of the single bytes. The sum takes a few operations on arrays, which is ten
    times as fast as a loop over the bytes.
    """
    values = numpy.frombuffer(data, numpy.uint8)
    count = len(values)
    tables = _tables()
    crc = int(numpy.bitwise_xor.reduce(tables[numpy.arange(count - 1, -1, -1), values])) if count else 0
    return crc ^ _initial(count) ^ 0xFFFFFFFF


@functools.cache
def _tables() -> numpy.typing.NDArray[numpy.uint32]:
    """Returns the contributions of a byte to a CRC, uint32 [MAX_BYTES, 256]: row i is for a byte that i bytes follow."""
    row = numpy.arange(256, dtype=numpy.uint32)
    for _ in range(8):
        row = (row >> numpy.uint32(1)) ^ (row & numpy.uint32(1)) * numpy.uint32(0x82F63B78)
    first, rows = row, [row]
    for _ in range(MAX_BYTES - 1):
        row = first[row & numpy.uint32(0xFF)] ^ (row >> numpy.uint32(8))
        rows.append(row)
    return numpy.stack(rows)


@functools.cache
def _initial(count: int) -> int:
    """Returns the contribution of the initial value, all ones, before count bytes."""
    crc, first = 0xFFFFFFFF, _tables()[0].tolist()
    for _ in range(count):
        crc = first[crc & 0xFF] ^ (crc >> 8)
    return int(crc)
