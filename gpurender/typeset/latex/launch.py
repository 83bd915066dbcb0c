"""The process that becomes pdfTeX: sets limits on itself, ties its life to its parent's, and gives up its rights.

Run as a script, with nothing imported but the standard library:
`launch.py PARENT ADDRESS_SPACE FILE_SIZE FOLDER READABLE COMMAND...`. READABLE is paths, one a line; where it is empty
the kernel does not confine the process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Iterable

__all__ = ["landlock_version"]

# Linux numbers these calls alike on all its architectures.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38

# Rights on files, as the kernel numbers the bits: execute, write, read, list a folder, ...
_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
# ... remove and make files of each kind, ...
_CHANGE = 0x1FF0
# ... from version 2 link across folders, from 3 truncate, from 5 device controls.
_TRUNCATE = 1 << 14
_KNOWN = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}
_ALL = 0xFFFF
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE
_NETWORK = 3  # bind and connect TCP sockets, from version 4
_SCOPES = 3  # abstract Unix sockets and signals, from version 6


def landlock_version() -> int:
    """Return the version of the kernel's Landlock interface; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    version: int = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return max(0, version)


def _call(number: int, *arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    result: int = library.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result


def _confine(folder: str, readable: Iterable[str]) -> None:
    """Give up all rights on files for good, but to use a folder, and to read and execute what is readable.

    Raises:
        OSError: The kernel refuses.
    """
    version = landlock_version()
    handled = _KNOWN.get(version, _ALL)
    attributes = struct.pack("=QQQ", handled, _NETWORK, _SCOPES)
    # The structure grew with the versions.
    attributes = attributes[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)

    def allow(path: str, rights: int) -> None:
        try:
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            # There is no such tree.
            return
        rights &= handled if os.path.isdir(path) else handled & _OF_FILES
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, file), 0)
        os.close(file)

    for path in readable:
        allow(path, _EXECUTE | _READ | _LIST)
    allow("/dev/null", _READ | _WRITE)
    if folder:
        allow(folder, _READ | _LIST | _WRITE | _CHANGE | _TRUNCATE)
    _call(_RESTRICT_SELF, ruleset, 0)


def main() -> None:
    """Become the command. Never returns."""
    import resource

    parent, space, size = (int(number) for number in sys.argv[1:4])
    folder, readable, command = sys.argv[4], sys.argv[5].splitlines(), sys.argv[6:]
    for kind, limit in ((resource.RLIMIT_AS, space), (resource.RLIMIT_FSIZE, size), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(kind, (limit, limit))
    if sys.platform == "linux":
        control = ctypes.CDLL(None).prctl
        control(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        control(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        # It died before it could be asked for.
        sys.exit(1)
    if readable:
        _confine(folder, readable)
    # A search of PATH would import more modules, which are out of reach by now.
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
