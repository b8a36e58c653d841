# SPDX-License-Identifier: Apache-2.0
"""A view of a folder that only one daemon has: a small disk, or a read-only one. The view ends with
the process; nothing is mounted for anybody else. What needs this skips where it is not allowed."""
import ctypes
import os
import tempfile

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 1, 32, 4096, 16384, 1 << 18


def check(rc):
    if rc != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(what, folder, kind, flags, options=None):
    check(LIBC.mount(what, folder.encode(), kind, flags, options))


def view(folder, size=None):
    """A preexec of wire.Daemon: the folder is an empty disk of so many bytes, or with None the
    same folder, read-only."""
    def enter():
        check(LIBC.unshare(CLONE_NEWNS))
        mount(b"none", "/", None, MS_REC | MS_PRIVATE)
        if size:
            mount(b"none", folder, b"tmpfs", 0, b"size=%d,mode=700" % size)
        else:
            mount(folder.encode(), folder, None, MS_BIND)
            mount(b"none", folder, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    return enter


def allowed():
    """Whether this user may do that."""
    with tempfile.TemporaryDirectory() as folder:
        pid = os.fork()
        if pid == 0:
            try:
                view(folder, 65536)()
                os._exit(0)
            except OSError:
                os._exit(1)
        return os.waitpid(pid, 0)[1] == 0
