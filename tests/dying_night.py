"""A night in a process of its own, killed at a chosen point: `python -m tests.dying_night <point> <settings as JSON>`.

Test-only. The point `never` lets it live.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from flows.io import accept, lake, publish, take
from flows.io.pull import store
from flows.settings import load_settings
from tests.night import run_night

POINTS: dict[str, tuple[object, str, bool]] = {
    "bytes landed, not noted": (store.Store, "adopt", True),
    "staged, not accepted": (take, "accept", False),
    "lake files written, not committed": (lake.Lake, "_write_files", True),
    "lake appended, ledger not begun": (lake.Lake, "append", True),
    "ledger written, not committed": (accept, "_record", True),
    "accepted, nothing built": (take, "accept", True),
    "rows deleted, none copied": (publish, "_delete", True),
    "rows copied, not committed": (publish, "_record", True),
}
"""What is replaced, and whether it does its work before the end comes."""


def _deadly(function: Callable[..., Any], *, works_first: bool) -> Callable[..., Any]:
    def die(*arguments: Any, **named: Any) -> None:
        if works_first:
            function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return die


if __name__ == "__main__":
    point, values = sys.argv[1], json.loads(sys.argv[2])
    if point != "never":
        owner, name, works_first = POINTS[point]
        setattr(owner, name, _deadly(getattr(owner, name), works_first=works_first))
    run_night(load_settings(**values | {"sources": tuple(values["sources"])}))
