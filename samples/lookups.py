"""Lookups of the expected facts: codes, units, rates, standard costs and days, as of a set of current rows."""

from collections.abc import Mapping
from decimal import Decimal

import polars as pl

Rows = dict[str, pl.DataFrame]

LOOK_BACK_DAYS = 7
AMOUNT = pl.Decimal(18, 4)
RATE = pl.Decimal(28, 10)
_WIDE = pl.Decimal(38, 10)
_PER_BASE = {"GRM": Decimal("0.001")}
"""Base units in one of the unit; every other unit of the sample is a base unit under another name."""
WAREHOUSE_ZONE = "America/Chicago"


def local_day(instant: str, zones: dict[str, str], site: str, otherwise: str) -> pl.Expr:
    """Date of an instant on the clock of the row's site, else on another clock."""
    day = pl.col(instant).dt.convert_time_zone(otherwise).dt.date()
    for code, zone in zones.items():
        there = pl.col(instant).dt.convert_time_zone(zone).dt.date()
        day = pl.when(pl.col(site) == code).then(there).otherwise(day)
    return day


class Lookups:
    """Current rows with the lookups that facts need."""

    def __init__(self, current: Rows, reporting_currency: str) -> None:
        self.rows = {name.partition(".")[2]: frame for name, frame in current.items()}
        self.reporting = reporting_currency
        self.codes = self._code_map()
        self.rates = self._all_rates()

    def has(self, dataset: str) -> bool:
        """Whether any of a dataset has come."""
        return dataset in self.rows

    def get(self, dataset: str, like: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """A dataset's current rows; none where it has not come yet."""
        return self.rows.get(dataset, pl.DataFrame(schema=like))

    def _code_map(self) -> pl.DataFrame:
        names = ("entity", "code_space", "code", "master_code_space", "master_code")
        return self.get("code_map", dict.fromkeys(names, pl.String())).select(names)

    def conformed(self, frame: pl.DataFrame, column: str, entity: str, space: str, master: str) -> pl.DataFrame:
        """Add `_<entity>`: the code in the master code space, NULL where the row's own is not of it."""
        codes = self.codes.filter((pl.col("entity") == entity) & (pl.col("code_space") == space))
        names = {"code": column, "master_code": f"_{entity}"}
        known = codes.select(pl.col(old).alias(new) for old, new in names.items())
        joined = frame.join(known, on=column, how="left", maintain_order="left")
        if space == master:
            joined = joined.with_columns(pl.coalesce(f"_{entity}", column).alias(f"_{entity}"))
        return joined

    def zones(self) -> dict[str, str]:
        """Time zone of each site, by the ERP's code."""
        sites = self.get("site", {"site_id": pl.String(), "time_zone": pl.String(), "currency": pl.String()})
        return dict(sites.select("site_id", "time_zone").iter_rows())

    def with_functional(self, frame: pl.DataFrame, site: str) -> pl.DataFrame:
        """Add `functional_currency` of the site in a column."""
        sites = self.get("site", {"site_id": pl.String(), "currency": pl.String()})
        return frame.join(
            sites.select(pl.col("site_id").alias(site), functional_currency="currency"), on=site, how="left"
        )

    def with_base(self, frame: pl.DataFrame, item: str, otherwise: str = "uom") -> pl.DataFrame:
        """Add `base_uom` and `_factor` of the unit in `uom`."""
        items = self.get("item", {"item_id": pl.String(), "base_uom": pl.String()})
        joined = frame.join(items.select(pl.col("item_id").alias(item), "base_uom"), on=item, how="left")
        joined = joined.with_columns(pl.coalesce("base_uom", otherwise, "uom").alias("base_uom"))
        converts = pl.col("base_uom") != pl.col("uom")
        return joined.with_columns(
            pl.when(converts)
            .then(pl.col("uom").replace_strict(_PER_BASE, default=Decimal(1), return_dtype=RATE))
            .otherwise(pl.lit(Decimal(1)))
            .cast(RATE)
            .alias("_factor"),
        )

    def _all_rates(self) -> pl.DataFrame:
        """The rate of every day: the newest of it and the seven days before, plain before turned round."""
        schema = {
            "rate_date": pl.Date(),
            "from_currency": pl.String(),
            "to_currency": pl.String(),
            "rate_type": pl.String(),
            "rate": RATE,
        }
        given = self.get("fx_rate", schema).select(*schema, turned=pl.lit(value=False))
        turned = given.select(
            "rate_date",
            from_currency="to_currency",
            to_currency="from_currency",
            rate_type="rate_type",
            rate=(pl.lit(1, pl.Decimal(38, 10)) / pl.col("rate")).cast(RATE),
            turned=pl.lit(value=True),
        )
        ages = pl.DataFrame({"age": range(LOOK_BACK_DAYS + 1)})
        return (
            pl.concat([given, turned])
            .join(ages, how="cross")
            .with_columns(on=pl.col("rate_date") + pl.duration(days="age"), is_other=pl.col("rate_type") != "average")
            .sort("age", "is_other", "turned")
            .unique(["on", "from_currency", "to_currency"], keep="first", maintain_order=True)
            .select("on", "from_currency", "to_currency", "rate")
        )

    def with_rate(self, frame: pl.DataFrame, name: str, source: str, target: pl.Expr, on: str) -> pl.DataFrame:
        """Add `name`: 1 for equal currencies, NULL where no rate is known."""
        rates = self.rates.rename({"rate": name})
        joined = frame.with_columns(_to=target).join(
            rates,
            left_on=[on, source, "_to"],
            right_on=["on", "from_currency", "to_currency"],
            how="left",
            maintain_order="left",
        )
        same = pl.col(source) == pl.col("_to")
        one = pl.lit(Decimal(1)).cast(RATE)
        return joined.with_columns(pl.when(same).then(one).otherwise(name).alias(name)).drop("_to")

    def in_reporting(self, frame: pl.DataFrame, on: str, *amounts: str, source: str = "currency") -> pl.DataFrame:
        """Add `<amount>_reporting` of each amount."""
        rated = self.with_rate(frame, "fx_rate_reporting", source, pl.lit(self.reporting), on)
        return rated.with_columns(product(a, "fx_rate_reporting").alias(f"{a}_reporting") for a in amounts)

    def with_standard_cost(self, frame: pl.DataFrame, on: str) -> pl.DataFrame:
        """Add `standard_cost` and `cost_currency` of `_item` at `_site` on a day: the site's own before any site's."""
        parts = ("material_cost", "labour_cost", "overhead_cost")
        schema = {"item_id": pl.String(), "site_id": pl.String(), "valid_from": pl.Date(), "currency": pl.String()}
        costs = self.get("item_cost", schema | dict.fromkeys(parts, RATE)).select(
            "valid_from",
            _item="item_id",
            _cost_site="site_id",
            standard_cost=pl.sum_horizontal(parts).cast(RATE),
            cost_currency="currency",
        )
        wanted = frame.select("_item", "_site", on).unique()
        found = (
            wanted.join(costs, on="_item")
            .filter(pl.col("valid_from") <= pl.col(on))
            .filter(pl.col("_cost_site").is_in([""]) | (pl.col("_cost_site") == pl.col("_site")))
            .sort(pl.col("_cost_site") == "", pl.col("valid_from"), descending=[False, True])
            .unique(["_item", "_site", on], keep="first", maintain_order=True)
            .drop("valid_from", "_cost_site")
        )
        return frame.join(found, on=["_item", "_site", on], how="left", nulls_equal=True, maintain_order="left")


def product(amount: str, factor: str) -> pl.Expr:
    """Product of a quantity or amount with a price or rate, to four decimals."""
    return (pl.col(amount).cast(_WIDE) * pl.col(factor)).cast(AMOUNT)
