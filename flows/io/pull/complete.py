"""Whether a file is complete or still being written."""

import fcntl
import math
import os
import signal
import time
from pathlib import Path

QUIET_S = 1.0
"""How long nothing may have changed about a file: who writes in bursts pauses for less, who waits for it waits this."""

LOOK_AGAIN_S = 1.0
"""How often a file that somebody has open for writing is looked at."""


def still_written_s(path: Path, marker: Path | None) -> float:
    """0 where a file is complete, else after how many seconds it is worth looking again.

    Where `marker` is given, a file is complete when its done-marker is there and not older; infinity is told until
    then. Otherwise it is when it has not changed for a while and nobody has it open for writing.
    """
    found = path.stat()
    if marker is not None:
        return 0.0 if marker.exists() and marker.stat().st_mtime_ns >= found.st_mtime_ns else math.inf
    # Not the time of the last modification, which who copies a file may set to that of the original.
    age_s = time.time() - found.st_ctime
    if 0 <= age_s < QUIET_S:
        return QUIET_S - age_s
    return LOOK_AGAIN_S if _is_open_for_writing(path) else 0.0


def _is_open_for_writing(path: Path) -> bool:
    """Whether a program on this machine has the file open for writing; False where that cannot be told.

    Linux grants a lease for reading only on a file that nobody writes. It is given back at once; a writer who comes in
    between waits for a moment, and we are told by a signal that nobody minds.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False  # reading it will say why
    try:
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False  # somebody else's file, or a file system without leases
    finally:
        os.close(handle)
    return False
