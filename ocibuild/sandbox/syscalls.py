"""System calls that Python does not have, each raising OSError as its siblings in ``os`` do.

The numbers of the calls added since Linux 5.2 are the same on every architecture; those of older ones are looked up
by name in the C library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CLONE_PIDFD = 0x00001000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

PTRACE_TRACEME = 0
PTRACE_CONT = 7

PR_SET_NO_NEW_PRIVS = 38
_PER_LINUX32 = 8

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

_RENAME_EXCHANGE = 2
_MACHINE = os.uname().machine
_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120, "s390x": 120}
_SYS_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219, "ppc64le": 271, "s390x": 280}
_SYS_RENAMEAT2 = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "loongarch64": 276, "ppc64le": 357, "s390x": 347}
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277, "riscv64": 277, "loongarch64": 277, "ppc64le": 358, "s390x": 348}
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_FSOPEN = 430
_SYS_FSCONFIG = 431
_SYS_FSMOUNT = 432
_SYS_OPENAT2 = 437
_SYS_MOUNT_SETATTR = 442
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_RESTRICT_SELF = 446

_LANDLOCK_CREATE_RULESET_VERSION = 1
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_KEYCTL_JOIN_SESSION_KEYRING = 1
_SECCOMP_SET_MODE_FILTER = 1
_SOCK_FILTER = 8  # the size of one instruction
_STATX_BASIC = 0x7FF
_STATX_BTIME = 0x800
_STATX_SIZE = 256
_LOOK = struct.Struct("=QQ48xqI4xqI")  # stx_ino, stx_size, and behind other fields stx_ctime and stx_mtime

# PyDLL keeps the interpreter lock: a forked child must not have to take it back
_libc: Any = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _check(result: int, path: str | None = None) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def _call(number: int, *values: Any, path: str | None = None) -> int:
    return _check(_libc.syscall(ctypes.c_long(number), *values), path)


def _text(value: str | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


def unshare(flags: int) -> None:
    """Move this process into new namespaces; see unshare(2)."""
    _check(_libc.unshare(flags))


def setns(fd: int, kind: int) -> None:
    """Move this process into the namespace ``fd``, which is of that kind; see setns(2).

    Where ``fd`` is that of a process, it is that one's namespace, and with its mounts come its root and directory.
    """
    _check(_libc.setns(fd, kind))


def say_short_machine() -> None:
    """Have uname(2) tell of a machine of 32 bits, where the kernel runs programs for one; see personality(2)."""
    _libc.personality(ctypes.c_ulong(_PER_LINUX32))


def clone(flags: int, *, exit_signal: int) -> tuple[int, int]:
    """Fork into new namespaces: return (pid, pidfd) to the parent and (0, -1) to the child; see clone(2).

    Only for a process with one thread: none of Python's or the C library's fork handlers run.
    """
    pidfd = ctypes.c_int(-1)
    bits, stack = ctypes.c_ulong(flags | CLONE_PIDFD | exit_signal), ctypes.c_void_p()
    first, second = (stack, bits) if _MACHINE == "s390x" else (bits, stack)
    pid = _call(_of_this_machine(_SYS_CLONE, "clone"), first, second, ctypes.byref(pidfd), None, None)
    return pid, pidfd.value if pid else -1


def _of_this_machine(numbers: Mapping[str, int], name: str) -> int:
    if _MACHINE not in numbers:
        raise OSError(errno.ENOSYS, f"the number of {name}(2) on {_MACHINE} is not known")
    return numbers[_MACHINE]


def looker() -> Callable[[int, bytes], tuple[int, ...]]:
    """Return a function that looks at a file, not through a symlink: ``(inode, size, mtime and ctime in two parts)``.

    It is for many files one after the other, in one thread: each look keeps the interpreter's lock, so that no other
    thread makes this one wait thousands of times. See statx(2).
    """
    found = ctypes.create_string_buffer(_STATX_SIZE)
    call, unpack = _libc.statx, _LOOK.unpack_from

    def look(dir_fd: int, name: bytes) -> tuple[int, ...]:
        if call(dir_fd, name, AT_SYMLINK_NOFOLLOW, _STATX_BASIC, found):
            _check(-1, os.fsdecode(name))
        return unpack(found, 0x20)

    return look if call(AT_FDCWD, b".", 0, _STATX_BASIC, found) == 0 else _look_the_long_way


def _look_the_long_way(dir_fd: int, name: bytes) -> tuple[int, ...]:
    """Look where a seccomp profile older than statx(2) refuses it."""
    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    return status.st_ino, status.st_size, status.st_ctime_ns, 0, status.st_mtime_ns, 0


def birth_time(dir_fd: int, name: str) -> int:
    """Return when a file was made, in nanoseconds since 1970, 0 where the system does not know; see statx(2)."""
    found = ctypes.create_string_buffer(_STATX_SIZE)
    if _libc.statx(dir_fd, os.fsencode(name), AT_SYMLINK_NOFOLLOW, _STATX_BTIME, found):
        return 0
    (mask,) = struct.unpack_from("=I", found, 0)
    seconds, nanoseconds = struct.unpack_from("=qI", found, 0x50)
    return seconds * 10**9 + nanoseconds if mask & _STATX_BTIME else 0


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """See mount(2)."""
    _check(_libc.mount(_text(source), _text(target), _text(kind), ctypes.c_ulong(flags), _text(options)), path=target)


def unmount(target: str, flags: int) -> None:
    """See umount2(2)."""
    _check(_libc.umount2(_text(target), flags), path=target)


def exchange(one: str, other: str) -> None:
    """Let two paths change places, at once; see rename(2), RENAME_EXCHANGE."""
    number = _of_this_machine(_SYS_RENAMEAT2, "renameat2")
    _call(number, AT_FDCWD, _text(one), AT_FDCWD, _text(other), _RENAME_EXCHANGE, path=one)


def pivot_root(new_root: str, put_old: str) -> None:
    """See pivot_root(2)."""
    _check(_libc.pivot_root(_text(new_root), _text(put_old)), path=new_root)


def open_without_magic(path: str, flags: int) -> int:
    """Open ``path``; raise ELOOP where it leads through a link of /proc that is no path; see openat2(2)."""
    return _openat2(AT_FDCWD, path, flags, RESOLVE_NO_MAGICLINKS)


def open_in_root(root: int, path: str, flags: int) -> int:
    """Open ``path`` as if the directory ``root`` were the root, whatever symbolic links are in it; see openat2(2)."""
    return _openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def open_beneath(folder: int, path: str, flags: int) -> int:
    """Open ``path`` below the directory ``folder``, no symbolic link on the way to it; see openat2(2)."""
    return _openat2(folder, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)


def _openat2(folder: int, path: str, flags: int, resolve: int) -> int:
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)
    return _call(_SYS_OPENAT2, folder, _text(path), how, ctypes.c_size_t(len(how)), path=path)


def copy_tree(fd: int) -> int:
    """Return a descriptor of a detached copy of the mount that shows the open file or directory ``fd`` alone."""
    return _call(_SYS_OPEN_TREE, fd, b"", ctypes.c_uint(_OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | AT_EMPTY_PATH))


def open_tree(path: str, *, recursive: bool) -> int:
    """Return a descriptor of a detached copy of the mount at ``path``; see open_tree(2)."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return _call(_SYS_OPEN_TREE, AT_FDCWD, _text(path), ctypes.c_uint(flags), path=path)


def move_mount(fd: int, target: str) -> None:
    """Attach a detached mount at ``target``, on the symbolic link itself where it is one; see move_mount(2)."""
    _call(_SYS_MOVE_MOUNT, fd, b"", AT_FDCWD, _text(target), ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH), path=target)


def new_mount(kind: str, options: Sequence[tuple[str, str | None]], attributes: int = 0) -> int:
    """Return a descriptor of a new, detached mount of a file system; see fsopen(2), fsconfig(2) and fsmount(2).

    An option without a value is a flag.
    """
    fd = _call(_SYS_FSOPEN, _text(kind), ctypes.c_uint(_FSOPEN_CLOEXEC), path=kind)
    try:
        for key, value in options:
            command = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
            _call(_SYS_FSCONFIG, fd, command, _text(key), _text(value), 0, path=f"{kind} {key}={value}")
        _call(_SYS_FSCONFIG, fd, _FSCONFIG_CMD_CREATE, None, None, 0, path=kind)
        return _call(_SYS_FSMOUNT, fd, ctypes.c_uint(_FSMOUNT_CLOEXEC), ctypes.c_uint(attributes), path=kind)
    finally:
        os.close(fd)


def restrict_mount(fd: int, attributes: int, *, recursive: bool = True) -> None:
    """Set attributes on a mount, and on all below it where that is ``recursive``; see mount_setattr(2)."""
    request = struct.pack("=QQQQ", attributes, 0, 0, 0)
    _call(
        _SYS_MOUNT_SETATTR,
        fd,
        b"",
        ctypes.c_uint(AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)),
        request,
        ctypes.c_size_t(len(request)),
    )


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def set_filter(program: bytes, flags: int) -> int:
    """Have system calls of this thread pass a filter, for good; see seccomp(2)."""
    described = ctypes.byref(_Program(len(program) // _SOCK_FILTER, program))
    number = _of_this_machine(_SYS_SECCOMP, "seccomp")
    return _call(number, ctypes.c_uint(_SECCOMP_SET_MODE_FILTER), ctypes.c_uint(flags), described)


class _Piece(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class MemoryReader:
    """Reads the memory of other processes, ``most`` bytes at a time; see process_vm_readv(2). For one thread."""

    def __init__(self, most: int) -> None:
        self._buffer = ctypes.create_string_buffer(most)
        self._here = _Piece(ctypes.addressof(self._buffer), most)
        self._there = _Piece(None, 0)
        self._ends = (ctypes.byref(self._here), ctypes.byref(self._there))
        self._call = _libc.process_vm_readv
        self._call.restype = ctypes.c_ssize_t

    def read(self, pid: int, address: int, size: int) -> bytes:
        """Return up to ``size`` bytes at an address of a process; raise OSError where nothing can be read."""
        self._there.base, self._there.length = address, size
        here, there = self._ends
        count = self._call(pid, here, ctypes.c_ulong(1), there, ctypes.c_ulong(1), ctypes.c_ulong(0))
        return bytes(memoryview(self._buffer)[: _check(count)])


def landlock_abi() -> int:
    """Return the version of Landlock that the kernel has; see landlock_create_ruleset(2)."""
    flags = ctypes.c_uint(_LANDLOCK_CREATE_RULESET_VERSION)
    return _call(_SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), flags)


def restrict_scope(scopes: int) -> None:
    """Put this thread into a Landlock domain that restricts nothing but scopes; see landlock(7)."""
    ruleset = struct.pack("=QQQ", 0, 0, scopes)
    fd = _call(_SYS_LANDLOCK_CREATE_RULESET, ruleset, ctypes.c_size_t(len(ruleset)), ctypes.c_uint(0))
    try:
        _call(_SYS_LANDLOCK_RESTRICT_SELF, fd, ctypes.c_uint(0))
    finally:
        os.close(fd)


def prctl(option: int, value: int, third: int = 0) -> int:
    """See prctl(2)."""
    return _check(
        _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(third), ctypes.c_ulong(0), ctypes.c_ulong(0))
    )


def take_name(name: str) -> None:
    """Have others see ``name`` in place of this process's command line; see proc_pid_cmdline(5). Needs /proc."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end
    text = name.encode()[: end - start - 1]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))
    kept = ctypes.create_string_buffer(text)
    prctl(PR_SET_NAME, ctypes.addressof(kept))


def ptrace(request: int, pid: int) -> None:
    """See ptrace(2), of its requests those that take no address and no data."""
    _check(_libc.ptrace(ctypes.c_long(request), pid, None, None))


def limit_capabilities(kept: int) -> None:
    """Keep what is in the bit set ``kept`` of this thread's capabilities, none of it inheritable; see capset(2)."""
    effective, permitted = _capabilities()
    _set_capabilities(effective & kept, permitted & kept, 0)


def inherit_capabilities() -> None:
    """Have every capability that this thread may have, and let programs have it whoever runs them; see capabilities(7).

    After a change of user, ``PR_SET_KEEPCAPS`` must have been set before it.
    """
    _, permitted = _capabilities()
    _set_capabilities(permitted, permitted, permitted)
    for number in range(permitted.bit_length()):
        if permitted & 1 << number:
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


_VERSION_3 = struct.pack("=Ii", 0x20080522, 0)


def _capabilities() -> tuple[int, int]:
    """Return the effective and the permitted capabilities of this thread."""
    sets = ctypes.create_string_buffer(24)
    _check(_libc.capget(ctypes.create_string_buffer(_VERSION_3), sets))
    low, high = struct.unpack_from("=III", sets, 0), struct.unpack_from("=III", sets, 12)
    return low[0] | high[0] << 32, low[1] | high[1] << 32


def _set_capabilities(*sets: int) -> None:
    halves = [one & 0xFFFFFFFF for one in sets] + [one >> 32 for one in sets]
    _check(_libc.capset(ctypes.create_string_buffer(_VERSION_3), struct.pack("=IIIIII", *halves)))


def join_new_session_keyring() -> None:
    """Leave the session keyring of whoever started us; see keyctl(2)."""
    number = _SYS_KEYCTL.get(_MACHINE)
    if number is None:
        return
    try:
        _call(number, _KEYCTL_JOIN_SESSION_KEYRING, None, 0, 0, 0)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):  # no keyrings here, or a filter that keeps all from them
            raise
