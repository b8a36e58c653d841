# SPDX-License-Identifier: Apache-2.0
"""State objects written by a second hand: the format of engine/state/object.h in Python.

The kind is that of the stand-in engine (tests/fake/object.c). The checksums come from the C
library of xxHash.
"""
import ctypes
import ctypes.util
import struct

HEAD, ALIGN, PAGE_TOKENS = 256, 64, 16
FAKE = {"model": 0xFAE, "tokenizer": 0, "slot": 1024, "page": 1024, "weights": 1, "kv": 0,
        "math": 0, "rope": 0}

_xxh = ctypes.CDLL(ctypes.util.find_library("xxhash"))
_xxh.XXH3_64bits.restype = ctypes.c_uint64
_xxh.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def xxh3(data):
    return _xxh.XXH3_64bits(bytes(data), len(data))


def make(tokens, depth=None, tenant="", fill=None, **kind):
    """An object of these ids; the last one is pending unless depth says otherwise. No answer in
    it ended with anything that was not shown."""
    k = {**FAKE, **kind}
    depth = len(tokens) - 1 if depth is None else depth
    pages = (depth + PAGE_TOKENS - 1) // PAGE_TOKENS if k["page"] else 0
    size = k["slot"] + pages * k["page"]
    body = fill(size) if fill else bytes(i * 31 % 251 for i in range(min(size, 4096))).ljust(size)
    listed = struct.pack("<%di" % len(tokens), *tokens)
    head_bytes = (HEAD + len(listed) + ALIGN - 1) // ALIGN * ALIGN

    def head(own_hash):
        return struct.pack(
            "<8sIIQQQQQQQIIIIIIII24x64s64x", b"SSMDSTAT", 2, head_bytes, head_bytes + size,
            own_hash, xxh3(body), k["model"], k["tokenizer"], k["slot"], k["page"], PAGE_TOKENS,
            k["weights"], k["kv"], k["math"], k["rope"], depth, len(tokens), pages,
            tenant.encode())

    padded = listed.ljust(head_bytes - HEAD, b"\0")
    return head(xxh3(head(0) + padded)) + padded + body


def layout_1(body):
    """The same state as an object of layout 1, which does not say how answers ended."""
    head_bytes, = struct.unpack_from("<I", body, 12)
    n, n_ends = struct.unpack_from("<I4xI", body, 96)
    size = (HEAD + 4 * n + ALIGN - 1) // ALIGN * ALIGN
    head = bytearray(body[:HEAD + 4 * n].ljust(size, b"\0"))
    struct.pack_into("<IIQQ", head, 8, 1, size, size + len(body) - head_bytes, 0)
    struct.pack_into("<I", head, 104, 0)
    struct.pack_into("<Q", head, 24, xxh3(head))
    assert n_ends
    return bytes(head) + body[head_bytes:]
