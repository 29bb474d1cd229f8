"""prefect.yaml: entrypoints that import, a schedule of one run a day, a deploy that asks nothing."""

import importlib.util
import inspect
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
import yaml

from flows import cli_run
from flows.io import embedded_server
from flows.settings import load_settings
from tests.flows.conftest import Home

PROJECT = load_settings().project_root
DEPLOYMENTS = yaml.safe_load((PROJECT / "prefect.yaml").read_text())["deployments"]


def _flow(entrypoint: str) -> Any:
    file, _, name = entrypoint.partition(":")
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    return getattr(module, name)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d["name"])
def test_every_entrypoint_is_a_flow_of_its_deployments_name(deployment: dict[str, Any]):
    from prefect import Flow

    entrypoint = deployment["entrypoint"]
    assert not Path(entrypoint).is_absolute()
    flow = _flow(entrypoint)
    assert isinstance(flow, Flow)
    assert flow.name == deployment["name"]
    known = set(flow.parameters.properties)
    assert set(deployment.get("parameters", {})) <= known


def test_backfill_takes_the_options_of_the_command():
    flow = _flow("flows/backfill.py:backfill")
    assert set(flow.parameters.properties) == set(inspect.signature(cli_run.backfill).parameters)
    assert set(flow.parameters.required) == {"start", "end"}


async def _runs(changes_on: date) -> list[date]:
    from prefect.server.schemas.schedules import CronSchedule

    asked = next(d for d in DEPLOYMENTS if d["name"] == "nightly")["schedules"][0]
    schedule = CronSchedule(cron=asked["cron"], timezone=asked["timezone"])
    first = datetime.combine(changes_on, datetime.min.time(), UTC) - timedelta(days=2)
    runs: set[datetime] = set()
    # the scheduler asks again and again, always from now on
    for quarter in range(5 * 24 * 4):
        runs |= set(await schedule.get_dates(n=2, start=first + timedelta(minutes=15 * quarter)))
    zone = ZoneInfo(asked["timezone"])
    return sorted(run.astimezone(zone).date() for run in runs)


@pytest.mark.parametrize("changes_on", [date(2026, 3, 29), date(2026, 10, 25)], ids=["day of 23 h", "day of 25 h"])
def test_clock_changes_give_one_run_a_day(changes_on: date):
    import asyncio

    days = asyncio.run(_runs(changes_on))
    around = [changes_on + timedelta(days=n) for n in (-1, 0, 1)]
    assert [day for day in days if day in around] == around


def test_deploy_all_asks_nothing(served_home: Home):
    served_home.prefect("work-pool", "create", "operations", "--type", "process", "--overwrite")
    served_home.prefect("deploy", "--all")
    # asked of the database, for `prefect deployment inspect --output json` fails where a deployment has a trigger
    with psycopg.connect(embedded_server.ensure_running(served_home.settings).url("prefect")) as connection:
        found = connection.execute(
            "select deployment.name, pool.name, queue.name, entrypoint, schedule ->> 'timezone'"
            " from deployment join work_queue as queue on queue.id = deployment.work_queue_id"
            " join work_pool as pool on pool.id = queue.work_pool_id"
            " left join deployment_schedule on deployment_schedule.deployment_id = deployment.id order by 1"
        ).fetchall()
        triggers = connection.execute("select trigger -> 'expect' from automation").fetchall()
    arrivals = {"on-arrival": "arrivals"}
    zones = {"nightly": "Europe/Berlin", "on-arrival": "UTC"}
    assert found == sorted(
        (name, "operations", arrivals.get(name, "default"), deployment["entrypoint"], zones.get(name))
        for deployment in DEPLOYMENTS
        for name in [deployment["name"]]
    )
    assert (["opsmart.extract.landed"],) in triggers
