"""Errors a person can act on: what happened, where, and what to do."""

_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
"""Control characters and what shows them: a file's text is quoted, and PostgreSQL refuses NUL."""


class OpsmartError(Exception):
    """Base of every error that is somebody's to mend; shown without a traceback.

    `what` states the fact, `where` names the file, row, column, table or setting, `remedy` the next step.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        what, where, remedy = (text.translate(_PICTURES) for text in (what, where, remedy))
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(
            "\n".join(part for part in (what, where and f"  where: {where}", remedy and f"  do: {remedy}") if part)
        )


class SettingsError(OpsmartError):
    """A setting is missing, unknown or cannot be used."""


class SourceError(OpsmartError):
    """A source folder (source.yaml or a mapping SELECT) is wrong."""


class ExtractError(OpsmartError):
    """A delivered extract cannot be read as a whole."""


class StorageError(OpsmartError):
    """The landing zone or the work folder cannot be read or written; no delivery is to blame."""


class WarehouseError(OpsmartError):
    """The warehouse cannot be reached or refuses."""


class TurnLostError(OpsmartError):
    """Another run of the flow goes on in this one's place."""


class LakeError(OpsmartError):
    """The lake cannot be read or written."""


class BuildError(OpsmartError):
    """A fact or dimension cannot be built."""


class GateError(OpsmartError):
    """A gate file is wrong."""


class MetricError(OpsmartError):
    """A metric's card or a target is wrong."""
