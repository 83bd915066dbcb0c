"""What turns into pdfTeX: sets limits on itself, ties its life to its parent's, and becomes the command it is given.

Run as a script, with nothing imported but the standard library: `launch.py PARENT ADDRESS_SPACE FILE_SIZE COMMAND...`.
"""

import os
import resource
import signal
import sys


def main() -> None:
    """Never returns."""
    parent, space, size = (int(number) for number in sys.argv[1:4])
    for kind, limit in ((resource.RLIMIT_AS, space), (resource.RLIMIT_FSIZE, size), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(kind, (limit, limit))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        # It died before it could be asked for.
        sys.exit(1)
    os.execvp(sys.argv[4], sys.argv[4:])


if __name__ == "__main__":
    main()
