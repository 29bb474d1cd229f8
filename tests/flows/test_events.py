"""Events reach Prefect, once each, and the example automation passes them on."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flows import events
from flows.io import embedded_server
from flows.io.prefect_server import PrefectServer, PrefectServerError
from tests.flows.conftest import Home

LIMIT_S = 30
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
OVERDUE = {"day": date(2026, 3, 9), "deadline": NOW, "newest": date(2026, 3, 8), "owner": "Ann"}
RED = {
    "metric_id": "scrap_ratio", "name": "Scrap ratio", "unit": "%", "owner": "Bob", "scope": "site", "scope_id": "B",
    "scope_name": "Works", "period": "month", "period_start": "2026-02-01", "value": 80.25, "target": 95.0,
    "prior_value": 97.5,
}  # fmt: skip


def test_an_event_that_is_sent_twice_is_kept_once(served_home: Home):
    server = PrefectServer(served_home.folder)
    event = events.landed("erp", {"a.csv": (1, 2)}, datetime.now(UTC))
    for _ in range(2):
        server.send_events([event])
    server.send_events([])
    found = _wait_for(lambda: _kept(served_home, events.LANDED))
    assert found == [("opsmart.source.erp", {"source": "erp", "files": ["a.csv"], "file_count": 1})]


def test_events_that_prefect_does_not_take_are_an_error(served_home: Home, tmp_path: Path):
    event = events.landed("erp", {}, NOW)
    with pytest.raises(PrefectServerError, match="No Prefect server"):
        PrefectServer(tmp_path).send_events([event])
    stranger = PrefectServer(tmp_path)
    stranger.folder.mkdir()
    shutil.copy(PrefectServer(served_home.folder).folder / "server.json", stranger.folder)
    stranger.login_file.write_text("admin:guessed")
    with pytest.raises(PrefectServerError, match=r"refused 1 events \(status 401\)"):
        stranger.send_events([event])


def test_the_example_automations_notify_of_what_is_blocked_overdue_and_red(served_home: Home, tmp_path: Path):
    with _webhook() as (url, heard):
        example = (served_home.settings.project_root / "docs" / "notify.yaml").read_text()
        mine = tmp_path / "notify.yaml"
        mine.write_text(example.replace("00000000-0000-0000-0000-000000000000", _block(served_home, url)))
        served_home.prefect("automation", "create", "--from-file", str(mine))
        blocked = {
            "source": "erp", "dataset": "item", "extract_id": 7, "slot": "2026-03-09", "revision": 1,
            "file": "items.csv", "blocked_by": "the file is empty",
        }  # fmt: skip
        time.sleep(1)  # Prefect tells its triggers of new automations in a moment
        PrefectServer(served_home.folder).send_events(
            [
                events.blocked(blocked, datetime.now(UTC)),
                events.overdue("erp", "item", **OVERDUE, now=datetime.now(UTC)),  # type: ignore[arg-type]
                events.breached(RED, trend=[97.5, 80.25], worst=[], known_at=NOW, now=datetime.now(UTC)),
            ]
        )
        _wait_for(lambda: len(heard) == 3)
    said = "\n".join(sorted(heard))
    for needed in ("Blocked: erp.item 2026-03-09", "items.csv is not used", "the file is empty",
                   "Overdue: erp.item of 2026-03-09", "2026-03-10T12:00:00", "2026-03-08", "Ask Ann",
                   "Red: Scrap ratio Works", "80.25 %, target 95.0", "month from 2026-02-01", "[97.5, 80.25]",
                   "Ask Bob", "where metric_id = 'scrap_ratio'"):  # fmt: skip
        assert needed in said


@contextmanager
def _webhook() -> Iterator[tuple[str, list[str]]]:
    """A place that notifications are sent to, and what came."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(" ".join(json.loads(self.rfile.read(int(self.headers["Content-Length"]))).values()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", heard
    finally:
        server.shutdown()
        server.server_close()


def _block(home: Home, url: str) -> str:
    """Id of a notification block that posts to a URL, made as a person does in the UI."""
    code = (
        "from prefect.blocks.notifications import CustomWebhookNotificationBlock as Block;"
        f"print(Block(name='test', url='{url}', json_data={{'subject': '{{{{subject}}}}', 'body': '{{{{body}}}}'}})"
        ".save('test', overwrite=True))"
    )
    environment = home.environment(**PrefectServer(home.folder).client_environment())
    made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return made.stdout.strip().splitlines()[-1]


def _kept(home: Home, name: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(embedded_server.ensure_running(home.settings).url("prefect")) as connection:
        return connection.execute("select resource_id, payload from events where event = %s", (name,)).fetchall()


def _wait_for(condition: Any) -> Any:
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found
