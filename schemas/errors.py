"""Errors a person can act on: what happened, where, and what to do."""


class OpsmartError(Exception):
    """Base of every error that is somebody's to mend; shown without a traceback.

    `what` states the fact, `where` names the file, row, column, table or setting, `remedy` the next step.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
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


class LakeError(OpsmartError):
    """The lake cannot be read or written."""


class BuildError(OpsmartError):
    """A fact or dimension cannot be built."""


class GateError(OpsmartError):
    """A gate file is wrong."""
