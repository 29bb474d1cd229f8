"""The folder of an installation, as opsmart makes it."""

from flows.settings import Settings

_PASSED, _CLOSED = 0o711, 0o700


def make(settings: Settings) -> None:
    """Make the home and the folders in it that hold data; those that are there stay as they are.

    Others may pass the home, for started by root the embedded server runs as another user. What was delivered is not
    masked yet: landing, lake, logs and work are closed to them.

    Raises:
        OSError: A folder cannot be made.
    """
    home = settings.home
    home.mkdir(_PASSED, parents=True, exist_ok=True)
    for folder in (settings.landing, settings.lake, home / "logs", home / "work"):
        # A landing zone or a lake elsewhere is for its owner to make.
        if folder.parent == home:
            folder.mkdir(_CLOSED, exist_ok=True)
