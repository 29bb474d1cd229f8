"""The watch: a file is told of once it is complete, and once; what was missed is found by looking at everything."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flows import watching
from flows.events import Event
from flows.io.pull import complete, pull, unmatched_files
from flows.io.pull.complete import still_written_s
from flows.settings import Settings, load_settings
from flows.watching import Watcher
from schemas.errors import OpsmartError
from tests.sources import HEADER, NOW, ROW, TestSource, make_source

TEXT = f"{HEADER}\n{ROW}\n"
LIMIT_S = 20.0


def _source(tmp_path: Path, table: str = 'path: "lines*"') -> TestSource:
    """A source `shop`, with the settings that find it."""
    made = make_source(
        tmp_path,
        f"""
        name: shop
        tables:
          lines:
            {table}
            types: {{ordered: date, qty: decimal, price: decimal}}
        datasets:
          purchase_order_line: {{mode: snapshot}}
        """,
        purchase_order_line="select l.po as po_id from lines as l",
    )
    (tmp_path / "bare" / "sql" / "sources").mkdir(parents=True)
    settings = load_settings(home=tmp_path / "home", sources=(tmp_path / "sources",), project_root=tmp_path / "bare")
    return TestSource(made.folder, settings)


class Heard:
    """Takes events as Prefect would, except while it is down."""

    def __init__(self, settings: Settings) -> None:
        self.events: list[Event] = []
        self.said: list[str] = []
        self.is_down = False
        self.watcher = Watcher(settings, self._send, self.said.append)

    def _send(self, events: Sequence[Event]) -> None:
        if self.is_down:
            raise OpsmartError("Prefect is down")
        self.events += events

    @property
    def files(self) -> list[str]:
        return [file for event in self.events for file in event.payload["files"]]

    def look(self) -> list[str]:
        """Looks at everything; the files that it told of."""
        before = len(self.files)
        self.watcher.look(None)
        return self.files[before:]

    @contextmanager
    def watching(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self.watcher.run, args=(stop,))
        thread.start()
        try:
            time.sleep(0.5)
            yield
        finally:
            stop.set()
            thread.join(LIMIT_S)
            assert not thread.is_alive()


def _wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_file_is_complete_when_it_rests_and_nobody_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(complete, "QUIET_S", 0.3)
    path = tmp_path / "lines.csv"
    with path.open("w") as file:
        file.write(HEADER)
        file.flush()
        # what its times are set to says nothing
        os.utime(path, (0, 0))
        assert 0 < still_written_s(path, None) <= 0.3
        time.sleep(0.35)
        # at rest, but somebody has not closed it yet
        assert still_written_s(path, None) > 0
    assert still_written_s(path, None) == 0
    # a clock of another machine that is ahead must not hold it up for ever
    monkeypatch.setattr(time, "time", lambda: path.stat().st_ctime - 3600)
    assert still_written_s(path, None) == 0


def test_a_file_that_is_being_written_is_not_pulled_half(tmp_path: Path):
    source = _source(tmp_path)
    path = source.land("lines.csv", "")
    with path.open("w") as file:
        file.write(HEADER)
        file.flush()
        assert source.pull().deliveries == []
        file.write(f"\n{ROW}\n")
    [delivery] = source.pull().deliveries
    assert delivery.files[0].path.read_text() == TEXT


def test_with_a_done_marker_a_file_is_complete_when_its_marker_is_there(tmp_path: Path):
    source = _source(tmp_path, 'path: "lines*"\n            done_marker: "{name}.done"')
    heard = Heard(source.settings)
    path = source.land("lines_1.csv", TEXT)
    assert heard.look() == []
    assert source.pull().deliveries == []
    marker = source.land("lines_1.csv.done", "")
    assert heard.look() == ["lines_1.csv"]
    pulled = source.pull()
    assert [file.name for file in pulled.deliveries[0].files] == ["lines_1.csv"]
    assert unmatched_files(source.source, source.settings.landing) == []
    # a correction under the same name waits for a marker of its own
    path.write_text(TEXT + ROW + "\n")
    os.utime(path, ns=(0, marker.stat().st_mtime_ns + 1))
    assert heard.look() == []
    assert len(source.pull().deliveries) == 1
    os.utime(marker, ns=(0, path.stat().st_mtime_ns))
    assert heard.look() == ["lines_1.csv"]
    assert len(source.pull(NOW + timedelta(hours=1)).deliveries) == 2


def test_a_file_is_told_once_and_again_when_it_has_changed(tmp_path: Path):
    source = _source(tmp_path)
    heard = Heard(source.settings)
    path = source.land("lines.csv", TEXT)
    assert heard.look() == ["lines.csv"]
    assert heard.look() == []
    source.pull()
    assert heard.look() == []
    path.write_text(TEXT + ROW + "\n")
    assert heard.look() == ["lines.csv"]
    assert len({event.as_json("home")["id"] for event in heard.events}) == 2
    # what was pulled already is no news to a watch that starts
    source.pull()
    assert Heard(source.settings).look() == []


def test_two_watches_tell_the_same_event(tmp_path: Path):
    source = _source(tmp_path)
    one, other = Heard(source.settings), Heard(source.settings)
    source.land("lines.csv", TEXT)
    assert one.look() == other.look() == ["lines.csv"]
    ids = {heard.events[0].as_json("home")["id"] for heard in (one, other)}
    assert len(ids) == 1
    # of another home it is another event
    assert one.events[0].as_json("elsewhere")["id"] not in ids


def test_what_prefect_did_not_take_is_sent_again(tmp_path: Path):
    source = _source(tmp_path)
    heard = Heard(source.settings)
    heard.is_down = True
    source.land("lines.csv", TEXT)
    assert heard.look() == heard.look() == []
    assert heard.said == ["Prefect: Prefect is down"]
    heard.is_down = False
    assert heard.look() == ["lines.csv"]


def test_a_broken_source_folder_does_not_end_the_watch(tmp_path: Path):
    source = _source(tmp_path)
    heard = Heard(source.settings)
    (tmp_path / "sources" / "other").mkdir()
    (tmp_path / "sources" / "other" / "source.yaml").write_text("name: other\n")
    source.land("lines.csv", TEXT)
    assert heard.look() == ["lines.csv"]
    heard.look()
    [said] = heard.said
    assert "tables" in said


def test_remote_files_are_found_by_looking(tmp_path: Path):
    there = tmp_path / "there"
    there.mkdir()
    source = _source(tmp_path, f'path: "file://{there}/lines*"\n            done_marker: "_DONE"')
    heard = Heard(source.settings)
    (there / "lines.csv").write_text(TEXT)
    assert heard.look() == []
    (there / "_DONE").touch()
    heard.watcher.look({"shop"})  # something changed on the local disk: remote places are not asked for that
    assert heard.files == []
    [name] = heard.look()
    assert name.endswith("lines.csv")
    assert heard.look() == []
    [delivery] = pull(source.source, source.settings).deliveries
    assert len(delivery.files) == 1


def test_the_watch_tells_of_a_file_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(complete, "QUIET_S", 0.3)
    source = _source(tmp_path)
    source.land("lines_0.csv", TEXT)
    heard = Heard(source.settings)
    with heard.watching():
        _wait_for(lambda: heard.files == ["lines_0.csv"])
        # one that is slowly written, and the folder of a source that did not exist before
        path = source.settings.landing / "shop" / "lines_1.csv"
        with path.open("w") as file:
            for letter in TEXT:
                file.write(letter)
                file.flush()
                time.sleep(0.01)
            time.sleep(0.6)
            assert heard.files == ["lines_0.csv"]
        _wait_for(lambda: heard.files == ["lines_0.csv", "lines_1.csv"])
        source.land("lines_2.csv.tmp", TEXT).rename(path.with_name("lines_2.csv"))
        _wait_for(lambda: "lines_2.csv" in heard.files)


def test_what_the_system_does_not_tell_is_found_by_looking_at_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watching, "LOOK_AT_ALL_S", 0.5)
    source = _source(tmp_path)
    heard = Heard(source.settings)

    def deaf(stop: threading.Event) -> Iterator[set[str]]:
        while not stop.wait(0.1):
            yield set()

    monkeypatch.setattr(heard.watcher, "_changes", deaf)
    with heard.watching():
        source.land("lines.csv", TEXT)
        _wait_for(lambda: heard.files == ["lines.csv"])


def test_where_the_system_tells_nothing_the_watch_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import watchfiles

    def full(*_: object, **__: object) -> Iterator[object]:
        raise OSError("the limit of watches is reached")

    monkeypatch.setattr(watchfiles, "watch", full)
    monkeypatch.setattr(watching, "LOOK_AT_ALL_S", 0.5)
    source = _source(tmp_path)
    heard = Heard(source.settings)
    with heard.watching():
        source.land("lines.csv", TEXT)
        _wait_for(lambda: heard.files == ["lines.csv"])
    assert "limit of watches" in heard.said[0]
