"""Taking cards and targets: into mart.dim_metric and its neighbours; new components get their whole history."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from flows.io.metric_files import Loaded, LoadedCard
from flows.io.metrics import REFUSED, Component, Components, give_up, lock
from flows.io.warehouse import Session, Warehouse, quote
from schemas.catalog import DATASETS, FACTS
from schemas.errors import MetricError
from schemas.metric import Card, Target
from schemas.metric_tables import METRIC_TABLES
from transforms.common.keys import hash_columns

LOCK = "opsmart.metrics"
AT_ONCE = 2
"""Facts whose new components are computed at a time: PostgreSQL sums on one core each."""
_METRIC_KEY = hash_columns({"metric_id": pl.String()}, salt=["metric"])
_DEFINITION = ("fact", "date_column", "value_sql", "where_sql", "leaf")


@dataclass(frozen=True, slots=True)
class Updated:
    """How many metrics and targets are new, changed or gone, and what is wrong with the files of others."""

    metrics: int
    targets: int
    errors: tuple[MetricError, ...]


def take(warehouse: Warehouse, loaded: Loaded, now: datetime) -> Updated:
    """Have the mart keep what the files say; the metric of what is wrong stays as it was."""
    with warehouse.session() as guard:
        # Over several transactions, of which each holds up one fact at most.
        guard.lock(LOCK)
        kept = set(guard.fetch("select component_key from mart.dim_metric_component where is_current").to_series())
        parts = _parts(card.card for card in loaded.cards)
        stays = [Component.of(row) for row in guard.fetch(_SET_ASIDE, list(loaded.refused)).iter_rows(named=True)]
        wanted = [*parts.values(), *([component] for component in stays)]
        tried = {one.component_key: one for each in wanted for one in each if one.component_key not in kept}
        failed = _refused_sql(guard, tried.values())
        new = {
            component.component_key: component
            for components in wanted
            if not any(component.component_key in failed for component in components)
            for component in components
            if component.component_key not in kept
        }
        rows = dict(guard.fetch("select fact, sum(row_count)::bigint from ops.slice group by fact").iter_rows())
        by_fact = [
            [one for one in new.values() if one.fact == fact]
            for fact in sorted({component.fact for component in new.values()}, key=lambda fact: -rows.get(fact, 0))
        ]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            kept_parts = pool.map(lambda components: _keep(warehouse, components, now), by_fact)
            failed |= {key: reason for found in kept_parts for key, reason in found.items()}
    good, errors = [], list(loaded.errors)
    for card in loaded.cards:
        wrong = _refused(card, parts[card.card.metric], failed)
        errors += wrong
        if not wrong:
            good.append(card.card)
    refused = loaded.refused | parts.keys() - {card.metric for card in good}
    known = [component.component_key for components in parts.values() for component in components]
    with warehouse.session() as session:
        session.lock(LOCK)
        metrics = _take_cards(session, _card_rows(good, parts, now), refused)
        # What a refused card has computed is not computed again each night.
        if unused := session.fetch(_UNUSED, known)["component_key"].to_list():
            give_up(session, unused)
        targets = _take_targets(session, loaded)
        session.commit()
    return Updated(metrics, targets, tuple(errors))


Parts = Mapping[str, Sequence[Component]]
"""Components by metric: numerator, then denominator."""


def _parts(cards: Iterable[Card]) -> Parts:
    described = pl.DataFrame(
        [
            (card.metric, one.fact, one.date, one.value, one.where or "", ",".join(one.leaf(by_item=card.by_item)))
            for card in cards
            for one in card.components
        ],
        schema=dict.fromkeys(("metric", *_DEFINITION), pl.String),
        orient="row",
    )
    key = hash_columns(dict.fromkeys(_DEFINITION, pl.String()), salt=["metric component"])
    parts: dict[str, list[Component]] = {}
    for row in described.with_columns(component_key=key).iter_rows(named=True):
        parts.setdefault(row.pop("metric"), []).append(Component.of(row))
    return parts


def _refused_sql(session: Session, components: Iterable[Component]) -> dict[int, str]:
    """Components whose SQL PostgreSQL does not understand, and what it says; nothing is computed."""
    failed = {}
    for component in components:
        session.execute("savepoint tried")
        try:
            session.execute(f"select {component.aggregate} from mart.{quote(component.fact)} as summed where false")
        except REFUSED as error:
            session.execute("rollback to savepoint tried")
            failed[component.component_key] = _first_line(error)
    return failed


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _refused(card: LoadedCard, components: Sequence[Component], failed: Mapping[int, str]) -> list[MetricError]:
    return [
        MetricError(
            f"{card.card.metric}: PostgreSQL refuses {component.aggregate}: {failed[component.component_key]}",
            where=card.place(role),
            remedy="mend the component",
        )
        for component, role in zip(components, ("numerator", "denominator"), strict=False)
        if component.component_key in failed
    ]


def _keep(warehouse: Warehouse, new: Sequence[Component], now: datetime) -> dict[int, str]:
    """Keep some components of a fact from now on; those that cannot be computed, and what PostgreSQL says of them."""
    with warehouse.session() as session:
        lock(session, new[0].fact)
        failed = _computed(session, new)
        if failed and len(new) > 1:
            # One of them is to blame; the others are good.
            failed = {}
            for component in new:
                failed |= _computed(session, [component])
        driving = FACTS[new[0].fact].driving
        # A budget delivered once a year must not keep the year's months open, nor a new one end them.
        waited_for = [name for name in driving if not DATASETS[name].is_plan] or driving
        rows = [
            (
                one.component_key, str(one), one.fact, one.date_column, one.value_sql, one.where_sql,
                ",".join(one.leaf), ",".join(waited_for),
            )
            for one in new
            if one.component_key not in failed
        ]  # fmt: skip
        names = ("component_key", "component", *_DEFINITION, "datasets")
        if rows:
            session.load_temporary(pl.DataFrame(rows, schema=names, orient="row"), "kept_component")
            session.execute(
                f"insert into mart.dim_metric_component ({', '.join(names)}, is_current, published_at)"
                f" select {', '.join(names)}, true, $1 from pg_temp.kept_component"
                " on conflict (component_key) do update"
                " set is_current = true, datasets = excluded.datasets, published_at = excluded.published_at",
                now,
            )
        session.commit()
    return failed


def _computed(session: Session, components: Sequence[Component]) -> dict[int, str]:
    """Compute the whole history of components; all of them with the reason where that fails."""
    session.execute("savepoint components")
    try:
        Components(components[0].fact, tuple(components)).compute(session)
    except REFUSED as error:
        session.execute("rollback to savepoint components")
        return dict.fromkeys((one.component_key for one in components), _first_line(error))
    return {}


def _take_cards(session: Session, cards: pl.DataFrame, refused: Collection[str]) -> int:
    """Cards as they are now; those that are refused stay. Returns how many metrics differ from what was."""
    held = session.fetch("select metric_key, metric_id, row_hash from mart.dim_metric")
    same = ["metric_key", "row_hash"]
    gone = held.join(cards, on=same, how="anti").filter(~pl.col("metric_id").is_in(refused))
    new = cards.join(held, on=same, how="anti")
    if gone.height + new.height:
        session.execute("delete from mart.dim_metric where metric_key = any($1)", gone["metric_key"].to_list())
        session.copy(new, "dim_metric", schema="mart")
        session.execute("delete from mart.dim_metric_side")
        session.execute(_SIDES)
        # Without statistics of what is new, mart.v_metric would be planned badly.
        session.execute("analyze mart.dim_metric_side, mart.fct_metric_component")
    return pl.concat([gone["metric_id"], new["metric_id"]]).n_unique()


def _take_targets(session: Session, loaded: Loaded) -> int:
    """Targets as they are now; those of lines that are refused stay. Returns how many differ from what was."""
    aim = ["metric_key", "scope", "scope_id", "period"]
    held, fresh = _held_targets(session), _target_rows(loaded.targets)
    kept = held
    if loaded.refused_aims is not None:
        aims = pl.DataFrame(
            list(loaded.refused_aims), dict.fromkeys(["metric_id", *aim[1:]], pl.String()), orient="row"
        )
        kept = held.join(aims.with_columns(metric_key=_METRIC_KEY), on=aim, how="semi")
    targets = pl.concat([fresh, kept.join(fresh, on=[*aim, "valid_from"], how="anti")]).sort(*fresh.columns)
    if not targets.equals(held):
        session.execute("delete from mart.dim_metric_target")
        session.copy(targets, "dim_metric_target", schema="mart")
    both = pl.concat([held, targets])
    return both.filter(both.is_unique()).n_unique([*aim, "valid_from"])


_SIDES = """
insert into mart.dim_metric_side (metric_key, metric_id, is_numerator, scope, component_key, time_rule, account_type)
select
    card.metric_key, card.metric_id, side.is_numerator, shown.scope, side.component_key, side.time_rule,
    side.account_type
from mart.dim_metric as card
cross join lateral unnest(string_to_array(card.scopes, ',')) as shown (scope)
cross join lateral (
    values
    (true, card.numerator_key, card.numerator_time, card.numerator_account_type),
    (false, card.denominator_key, card.denominator_time, card.denominator_account_type)
) as side (is_numerator, component_key, time_rule, account_type)
where side.component_key is not null
"""

# Cards that are refused are not among those taken, but what they were made of is to stay.
_SET_ASIDE = """
select distinct component.component_key, fact, date_column, value_sql, where_sql, leaf
from mart.dim_metric_component as component
inner join mart.dim_metric as card on component.component_key in (card.numerator_key, card.denominator_key)
where not component.is_current and card.metric_id = any($1)
"""

_UNUSED = """
select component_key
from mart.dim_metric_component
where
    is_current
    and component_key <> all($1)
    and not exists (
        select from mart.dim_metric
        where component_key in (dim_metric.numerator_key, dim_metric.denominator_key)
    )
"""


def _card_rows(cards: Sequence[Card], parts: Parts, now: datetime) -> pl.DataFrame:
    """Rows of mart.dim_metric."""
    types = METRIC_TABLES["dim_metric"].dtypes()
    own = {name: dtype for name, dtype in types.items() if name not in ("metric_key", "row_hash", "published_at")}
    rows = pl.DataFrame([_card_row(card, parts[card.metric]) for card in cards], schema=own)
    stamp = pl.lit(now).cast(types["published_at"])
    return rows.with_columns(metric_key=_METRIC_KEY, row_hash=hash_columns(own), published_at=stamp).select(*types)


def _card_row(card: Card, components: Sequence[Component]) -> dict[str, Any]:
    plain = ("name", "says", "formula", "combine", "scale", "per", "unit", "direction", "null_rule", "standard")
    row: dict[str, Any] = {name: getattr(card, name) for name in (*plain, "owner", "version", "headline")}
    row |= {name: ",".join(getattr(card, name)) for name in ("scopes", "periods", "audience")}
    row |= {"metric_id": card.metric, "range_low": card.range[0], "range_high": card.range[1]}
    roles = zip(("numerator", "denominator"), card.components, components, strict=False)
    for role, said, component in roles:
        row |= {
            f"{role}_key": component.component_key,
            f"{role}_time": said.time,
            f"{role}_account_type": said.account_type,
        }
    return row


def _target_rows(targets: Sequence[Target]) -> pl.DataFrame:
    """Rows of mart.dim_metric_target, in order."""
    types = METRIC_TABLES["dim_metric_target"].dtypes()
    schema = {"metric_id": pl.String()} | {name: dtype for name, dtype in types.items() if name != "metric_key"}
    rows = [target.model_dump() | {"metric_id": target.metric} for target in targets]
    return pl.DataFrame(rows, schema=schema).with_columns(metric_key=_METRIC_KEY).select(*types).sort(*types)


def _held_targets(session: Session) -> pl.DataFrame:
    types = METRIC_TABLES["dim_metric_target"].dtypes()
    rows = session.fetch(f"select {', '.join(types)} from mart.dim_metric_target")
    return rows.cast(pl.Schema(types)).sort(*types)
