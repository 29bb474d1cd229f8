"""The short scorecard: the headline metrics of the company, as mart.v_metric has them."""

from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from flows.io.warehouse import Warehouse

PERIODS_SHOWN = 12
"""Periods of the sparkline."""


@dataclass(frozen=True, slots=True)
class Headline:
    """A metric in the newest week that is complete, or month where it is shown by month only."""

    name: str
    unit: str
    direction: str
    period: str
    period_end: date
    target: float | None
    status: str | None
    values: tuple[float, ...]
    """Of the period and those before it that have a value, oldest first."""
    prior: float | None
    """Of the period right before."""


def read(warehouse: Warehouse) -> list[Headline]:
    """The headline metrics that have a value, in the order of their cards."""
    with warehouse.session() as session:
        metrics = session.fetch("select metric_id from mart.dim_metric where headline is not null")["metric_id"]
        rows = session.fetch(_VALUES, metrics.to_list())
    by_metric = groupby(rows.iter_rows(named=True), key=lambda row: row["headline"])
    return [_headline(list(group)) for _, group in by_metric]


# The metrics are given as values: a join would have the view computed for all of them.
_VALUES = """
select
    card.headline, card.name, card.unit, card.direction, measured.period, measured.period_end,
    measured.value::float8 as value, measured.target::float8 as target, measured.status,
    measured.prior_value::float8 as prior
from mart.v_metric as measured
inner join mart.dim_metric as card on measured.metric_key = card.metric_key
where
    measured.metric_id = any($1) and measured.scope = 'company' and measured.period in ('week', 'month')
    and measured.period = case when 'week' = any(string_to_array(card.periods, ',')) then 'week' else 'month' end
    and measured.is_complete and measured.value is not null
order by card.headline, measured.period_start
"""


def _headline(rows: list[dict[str, Any]]) -> Headline:
    newest = rows[-1]
    own = {name: newest[name] for name in ("name", "unit", "direction", "period", "period_end")}
    shown = tuple(row["value"] for row in rows[-PERIODS_SHOWN:])
    return Headline(**own, values=shown, **{name: newest[name] for name in ("target", "status", "prior")})
