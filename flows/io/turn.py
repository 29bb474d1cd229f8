"""Turns: runs of a flow follow each other, by a lock of PostgreSQL's that is gone with the connection of a dead run."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import psycopg

from flows.io.steady import steady
from flows.io.warehouse import Session, Warehouse
from schemas.errors import TurnLostError, WarehouseError


class Turn:
    """The turn of one run of a flow, from `with` to its end.

    The connection that holds the lock is its own, and closed at the end rather than kept. If the server restarts, the
    lock is gone: `keep` takes it again, or says that another run has it.
    """

    def __init__(self, url: str, name: str, waits: Callable[[], None]) -> None:
        """`waits` is told when another run has the turn."""
        self._url, self._name, self._waits = url, name, waits
        self._connection = ExitStack()
        self._asking = threading.Lock()
        self._has_turn = True

    def __enter__(self) -> Self:
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def keep(self) -> None:
        """See to it that the turn is this run's still.

        Raises:
            TurnLostError: The server restarted, and another run of the flow was quicker to take the turn.
            WarehouseError: The server is away.
        """
        with self._asking:
            if self._has_turn and not self._is_connected():
                self._connection.close()
                self.session = self._connect()
                self._has_turn = self._try()
                self.session.commit()
        if not self._has_turn:
            raise TurnLostError(
                "another run has begun when the server restarted, and goes on in this one's place",
                where=self._name,
                remedy="nothing: what this run has not done the other one does",
            )

    def _is_connected(self) -> bool:
        try:
            self.session.execute("")
            self.session.commit()
        except psycopg.Error:
            return False
        return True

    @steady
    def _wait(self) -> None:
        """Wait for the turn, anew where the server restarts meanwhile."""
        self._connection.close()
        self.session = self._connect()
        try:
            if not self._try():
                self._waits()
                self.session.execute("select pg_advisory_lock(hashtextextended($1, 0))", self._name)
            self.session.commit()
        except psycopg.Error as error:
            raise WarehouseError(
                "the warehouse went away while a turn was waited for", where=self._name, remedy="run again"
            ) from error

    def _connect(self) -> Session:
        warehouse = Warehouse.at(self._url)
        self._connection.callback(warehouse.close)
        return self._connection.enter_context(warehouse.session())

    def _try(self) -> bool:
        return bool(self.session.value("select pg_try_advisory_lock(hashtextextended($1, 0))", self._name))
