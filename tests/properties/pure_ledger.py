"""The rules of accepting with a frame for a ledger, and no lake, no server."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from tests.properties.deliveries import Given
from transforms.common import accept as rules


class PureLedger:
    """The rules with a frame for a ledger: every group is its own delivery, no group is ever moved."""

    def __init__(self) -> None:
        self.rows = pl.DataFrame(schema=rules.EXISTING)
        self.accepted: list[Given] = []

    def _rank(self, given: Given, known: Sequence[Given]) -> int:
        return sorted({other.order for other in known}).index(given.order) + 1

    def accept(self, given: Given, every: Sequence[Given]) -> None:
        """Take one delivery; `every` are all that will ever come, for their ranks."""
        groups = pl.LazyFrame(
            {
                "sighting_id": [other.landing for other in every],
                "at": [other.at for other in every],
                "rank": [self._rank(other, every) for other in every],
            },
            schema={"sighting_id": pl.Int32, "at": pl.Datetime("us", "UTC"), "rank": pl.Int64},
        )
        rank = self._rank(given, every)
        incoming = _pure_rows(given, quarantined=False)
        sightings = _pure_rows(given, quarantined=True).select("key_hash", "at")
        known = rules.with_orders(self.rows.lazy(), groups)
        joined = rules.join_maxima(known, rules.newest_versions(incoming), sightings, rank)
        settled = rules.settle(joined, given.landing, given.at, rank)
        new = {f"new_{name}": name for name in rules.EXISTING if name != "key_hash"}
        self.rows = settled.select("key_hash", *new).rename(new).select(list(rules.EXISTING)).collect()
        self.accepted.append(given)
        self.groups = groups
        self.every = every

    def state(self) -> pl.DataFrame:
        """Of each key the newest version with its order, and the order of the newest sighting."""
        orders = rules.with_orders(self.rows.lazy(), self.groups)
        return (
            orders.select("key_hash", "payload_hash", "row_date", "is_deleted", "v_at", "v_rank", "s_at", "s_rank")
            .sort("key_hash")
            .collect()
        )

    def present(self) -> dict[int, tuple[date, int]]:
        """key → (day, payload) of the rows that count."""
        newest: dict[int | None, Given] = {}
        for one in self.accepted:
            if one.gives_coverage and (one.period not in newest or one.order > newest[one.period].order):
                newest[one.period] = one
        scopes = [
            rules.Scope(one.at, self._rank(one, self.every), *(one.bounds or (None, None))) for one in newest.values()
        ]
        rows = rules.with_orders(self.rows.lazy(), self.groups).filter(rules.is_present(scopes)).collect()
        return {row["key_hash"]: (row["row_date"], row["payload_hash"] % 10) for row in rows.iter_rows(named=True)}


def _pure_rows(given: Given, *, quarantined: bool) -> pl.LazyFrame:
    rows = [row for row in given.rows if row.is_quarantined == quarantined]
    return pl.LazyFrame(
        {
            "key_hash": [row.key for row in rows],
            # The payload: day, deletion and quantity.
            "payload_hash": [row.day * 100 + row.is_deleted * 10 + row.quantity for row in rows],
            "at": [given.row_at(row) for row in rows],
            "row_date": [row.date for row in rows],
            "link_hash": [row.key for row in rows],
            "is_deleted": [row.is_deleted for row in rows],
        },
        schema={
            "key_hash": pl.Int64,
            "payload_hash": pl.Int64,
            "at": pl.Datetime("us", "UTC"),
            "row_date": pl.Date,
            "link_hash": pl.Int64,
            "is_deleted": pl.Boolean,
        },
    )
