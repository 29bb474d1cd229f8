"""Configuration of the embedded server, written anew before each start so that it follows the machine."""

import shutil
from pathlib import Path

import psutil

from flows.io.postgres_binaries import Runner

CONFIG_NAME = "opsmart.conf"
HBA = """\
# written by opsmart at each start: this machine only, always with a password
host all all 127.0.0.1/32 scram-sha-256
"""
GIB = 2**30
MIB = 2**20
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - asked for its size only


def memory_bytes() -> int:
    """Memory that this process may use: the machine's, or the container's where that is less."""
    limits = [psutil.virtual_memory().total]
    for file in _CGROUP_LIMITS:
        text = file.read_text().strip() if file.is_file() else ""
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


def render(port: int, *, memory: int, free_disk: int, shared_memory: int | None, has_lz4: bool) -> str:
    """The settings file for a machine of that size; all sizes in bytes.

    The working set of a night is the facts' newest months and the ledger's current rows, so shared_buffers is bounded;
    checkpoints are far apart because a publish is one burst of writing.
    """
    shared_buffers = GIB if memory >= 8 * GIB else max(memory // 8, 32 * MIB)
    values = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 100,
        "password_encryption": "scram-sha-256",
        "shared_buffers": _mib(shared_buffers),
        "effective_cache_size": _mib(memory // 2),
        "work_mem": _mib(min(max(memory // 256, 4 * MIB), 64 * MIB)),
        "maintenance_work_mem": _mib(min(max(memory // 64, 32 * MIB), 256 * MIB)),
        # accepting and publishing join with temporary tables
        "temp_buffers": _mib(min(max(memory // 256, 8 * MIB), 64 * MIB)),
        # a container's /dev/shm is often 64 MB: parallel queries would fail there
        "dynamic_shared_memory_type": "posix" if shared_memory is not None and shared_memory >= GIB else "mmap",
        "max_wal_size": _mib(min(8 * GIB, max(free_disk // 4, 256 * MIB))),
        "min_wal_size": "80MB",
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "wal_compression": "lz4" if has_lz4 else "off",
        "checkpoint_timeout": "15min",
        "synchronous_commit": "on",
        "jit": "off",
        "random_page_cost": 1.1,
        "default_statistics_target": 100,
        "timezone": "UTC",
        "log_timezone": "UTC",
        "datestyle": "iso, ymd",
        "log_checkpoints": "off",
        "log_min_messages": "warning",
        "log_line_prefix": "%m %a ",
    }
    return "".join(f"{name} = '{value}'\n" for name, value in values.items())


def write(data: Path, port: int, runner: Runner, *, has_lz4: bool) -> None:
    """Write settings and access rules into the data folder `data`."""
    text = render(
        port,
        memory=memory_bytes(),
        free_disk=shutil.disk_usage(data).free,
        shared_memory=shutil.disk_usage(_SHARED_MEMORY).total if _SHARED_MEMORY.is_dir() else None,
        has_lz4=has_lz4,
    )
    for name, content in ((CONFIG_NAME, text), ("pg_hba.conf", HBA)):
        file = data / name
        file.write_text(content)
        file.chmod(0o600)
        runner.owns(file)


def _mib(size: int) -> str:
    return f"{size // MIB}MB"
