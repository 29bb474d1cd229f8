"""Personal ids as pseudonyms: equal ids stay equal, nobody without the key can tell whose they are."""

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import polars as pl

from schemas.errors import SettingsError

KEY_FILE = "pseudonym.key"
_KEY_BYTES = 32


def load_key(home: Path) -> bytes:
    """The installation's secret, made on first use and readable by its owner only.

    Losing it makes the same person a new one; it belongs into the backup, apart from the lake.

    Raises:
        SettingsError: The file is there but is not a key.
    """
    path = home / KEY_FILE
    home.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES))
        try:
            # A link fails where another process was first; then its key is the one.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    try:
        key = bytes.fromhex(path.read_text())
    except ValueError as error:
        raise SettingsError("the pseudonym key is damaged", where=str(path), remedy="restore it from backup") from error
    if len(key) != _KEY_BYTES:
        raise SettingsError("the pseudonym key is damaged", where=str(path), remedy="restore it from backup")
    return key


def pseudonymiser(home: Path) -> Callable[[pl.Series], pl.Series]:
    """A function that replaces ids by 24 characters of BLAKE2b, keyed with the installation's secret."""
    key = load_key(home)

    def pseudonym(value: str) -> str:
        return hashlib.blake2b(value.encode(), key=key, digest_size=12).hexdigest()

    def replace(ids: pl.Series) -> pl.Series:
        # A column names few people many times.
        known = ids.unique().drop_nulls()
        hidden = pl.Series([pseudonym(value) for value in known], dtype=pl.String)
        return ids.replace_strict(known, hidden, default=None, return_dtype=pl.String)

    return replace
