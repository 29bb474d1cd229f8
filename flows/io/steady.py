"""Trying again what a lost connection cut short: PostgreSQL restarts, and a moment later all is well."""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError

from schemas.errors import WarehouseError

RETRIES = 2
FIRST_DELAY_S = 2.0

P = ParamSpec("P")
R = TypeVar("R")


def is_passing(error: object) -> bool:
    """Whether a failure may pass by itself: a lost connection does, a wrong file does not."""
    return isinstance(error, (WarehouseError, OperationalError, ConnectionError, TimeoutError)) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def steady(step: Callable[P, R]) -> Callable[P, R]:
    """Have a step tried again, with back-off, that is one transaction or does no harm when it is done twice.

    For what no Prefect task wraps: those are tried again by Prefect, by the same rules.
    """

    @wraps(step)
    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(RETRIES):
            try:
                return step(*args, **kwargs)
            except Exception as error:
                if not is_passing(error):
                    raise
                time.sleep(FIRST_DELAY_S * 2**attempt)
        return step(*args, **kwargs)

    return tried
