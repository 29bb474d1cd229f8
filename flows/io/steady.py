"""Trying again what a lost connection cut short: PostgreSQL restarts, and a moment later all is well."""

from sqlalchemy.exc import DBAPIError, OperationalError
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from schemas.errors import WarehouseError

RETRIES = 2
FIRST_DELAY_S = 2.0


def is_passing(error: object) -> bool:
    """Whether a failure may pass by itself: a lost connection does, a wrong file does not."""
    return isinstance(error, (WarehouseError, OperationalError, ConnectionError, TimeoutError)) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


steady = retry(
    retry=retry_if_exception(is_passing),
    stop=stop_after_attempt(1 + RETRIES),
    wait=wait_exponential(FIRST_DELAY_S),
    reraise=True,
)
"""Has a step tried again, with back-off, that is one transaction or does no harm when it is done twice.

For what no Prefect task wraps: those are tried again by Prefect, by the same rules.
"""
