"""Plugin host: its story, act by act, its plugins by themselves, states that are bad.

What the story says is held against the files that it leaves, read with json alone.
Start at `TestStory`.
"""

import copy
import doctest
import json
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest

from latency_kv import FileSystemStateStore, StateManager
from latency_kv.documents import StateBackupCreatedEvent
from latency_kv.errors import (
    StateMigrationError,
    StateParseError,
    StateReadError,
    StateWriteError,
)
from plugin_host import __main__ as program
from plugin_host import daily_notes, flight_board, log, story
from plugin_host.daily_notes import DailyNotes, kept
from plugin_host.disk import files_in
from plugin_host.flight_board import FlightBoard, to_version_2, to_version_3
from plugin_host.host import REFUSED, Host, Plugin, PluginStateError
from plugin_host.log import Log, line_of
from plugin_host.others import cut, show_no_rows, watch_two_airports
from plugin_host.story import ACTS, Act

NEW_YORK, CHICAGO, LONDON = "America/New_York", "America/Chicago", "Europe/London"

FIRST = {"airports": ["jfk", "ord"], "rows": 12, "clock24": True}
SECOND = {"airports": ["JFK", "ORD"], "display": {"rows": 12, "clock": "24h"}}
THIRD: dict[str, Any] = {
    "airports": {"JFK": NEW_YORK, "ORD": CHICAGO},
    "display": {"rows": 12, "clock": "24h"},
}
LONDON_TOO = {**THIRD, "airports": {**THIRD["airports"], "LHR": LONDON}}
NO_ROWS = {**LONDON_TOO, "display": {"rows": 0, "clock": "24h"}}

NOTES = {
    "notes": [{"day": "2026-03-02", "text": "Water the fern"}],
    "draft": "Call the dentist",
}

DAY = date(2026, 3, 2)


def stored(path: Path) -> tuple[int, Any]:
    """The version and the data in a file."""
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["metadata"]["pluginName"] == path.name.split(".")[0]
    return found["version"], found["data"]


def board_file(state_dir: Path) -> Path:
    return state_dir / "flight-board.json"


def backup_of_board(state_dir: Path, number: int) -> Path:
    return state_dir / f"flight-board.backup.{number}.json"


def contents(state_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in state_dir.glob("*.json")}


async def save(
    state_dir: Path, data: Any, version: int, plugin_name: str = "flight-board"
) -> None:
    async with FileSystemStateStore(state_dir=state_dir) as store:
        await store.save(plugin_name, data, version)


async def started(state_dir: Path, *plugins: Plugin) -> Host:
    """A host that has run, to ask what came of it."""
    host = Host(state_dir, Log())
    async with host.running(*plugins):
        pass
    return host


class TestStory:
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_story_is_as_told(
        self, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        state = tmp_path / "state"
        program.main(["--state", str(state), "--backend", backend])
        shown = capsys.readouterr().out
        assert stored(board_file(state)) == (3, LONDON_TOO)
        assert stored(state / "daily-notes.json") == (1, NOTES)
        assert shown.isascii()
        assert "\x1b" not in shown
        assert "NO " not in shown
        assert shown.endswith("16 of 16 claims hold.\n")
        for name in contents(state):
            assert name in shown
        for number, act in enumerate(ACTS, 1):
            title, _, _ = (act.__doc__ or "").partition("\n")
            assert f"\n{number}. {title}\n" in shown

    @pytest.mark.anyio
    async def test_each_act_leaves_what_it_tells(self, tmp_path: Path) -> None:
        board = board_file(tmp_path)

        await story.begun(tmp_path)
        assert set(contents(tmp_path)) == {board.name, "flight-board.backup.1.json"}
        assert stored(board) == (1, FIRST)
        first = board.read_bytes()

        await story.migrated(tmp_path)
        assert stored(board) == (3, LONDON_TOO)
        assert stored(backup_of_board(tmp_path, 1)) == (3, THIRD)
        assert backup_of_board(tmp_path, 2).read_bytes() == first
        assert stored(tmp_path / "daily-notes.json") == (1, NOTES)
        whole = board.read_bytes()

        await story.recovered(tmp_path)
        corrupt = (tmp_path / "flight-board.corrupt-1.json").read_bytes()
        assert corrupt == whole[: len(whole) // 2]
        with pytest.raises(ValueError, match=r"line \d+ column \d+"):
            json.loads(corrupt)
        assert stored(board) == (3, LONDON_TOO)
        assert stored(backup_of_board(tmp_path, 1)) == (3, THIRD)
        before = board.read_bytes()

        await story.restored(tmp_path)
        assert board.read_bytes() == before
        assert stored(backup_of_board(tmp_path, 1)) == (3, NO_ROWS)
        assert stored(tmp_path / "daily-notes.json") == (1, NOTES)

    @pytest.mark.anyio
    async def test_each_claim_is_about_this_run(self, tmp_path: Path) -> None:
        acts: list[Act] = [await play(tmp_path) for play in ACTS]
        claims = [claim for act in acts for claim in act.claims]
        assert len(claims) == len(set(claims)) == 16
        assert [each for act in acts for each in act.claims.values()] == [True] * 16
        recovered = [line for act in acts for line in act.log if "recovered" in line]
        assert len(recovered) == 1

    @pytest.mark.parametrize(
        ("broken", "claim"),
        [
            ("zone", "each airport has its zone"),
            ("cut", "the damaged file was set aside"),
        ],
    )
    def test_claim_that_does_not_hold_is_an_error(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        broken: str,
        claim: str,
    ) -> None:
        if broken == "zone":
            monkeypatch.setitem(flight_board._ZONES, "LHR", "Europe/Paris")
        else:
            monkeypatch.setattr(story, "cut", lambda path: cut(path)[:-1])
        with pytest.raises(SystemExit, match="not as told"):
            program.main(["--state", str(tmp_path / "state")])
        shown = capsys.readouterr().out
        assert f"  NO   {claim}\n" in shown
        assert "of 16 claims hold" in shown

    def test_plugin_that_cannot_start_ends_the_story(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(flight_board._ZONES, "ORD")
        with pytest.raises(StateMigrationError, match="no airport 'ORD'"):
            program.main(["--state", str(tmp_path / "state")])

    def test_used_directory_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "file"
        file.touch()
        for used in (tmp_path, file):
            with pytest.raises(SystemExit):
                program.main(["--state", str(used)])
            assert "new or an empty directory" in capsys.readouterr().err
        assert [*tmp_path.iterdir()] == [file]

    def test_missing_backend_is_named(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(program, "find_spec", lambda name: None)
        with pytest.raises(SystemExit):
            program.main(["--state", str(tmp_path / "state"), "--backend", "trio"])
        assert "--backend trio must be installed" in capsys.readouterr().err

    def test_doctests_hold(self) -> None:
        for module in (daily_notes, log):
            failed, attempted = doctest.testmod(module)
            assert (failed, attempted > 0) == (0, True)


@pytest.mark.anyio
class TestHost:
    async def test_old_state_is_migrated_once(self, tmp_path: Path) -> None:
        await watch_two_airports(tmp_path)
        board = FlightBoard()
        host = await started(tmp_path, board)
        assert board.board == THIRD
        assert stored(board_file(tmp_path)) == (3, THIRD)
        assert story.MIGRATED in host.log.lines
        before = contents(tmp_path)
        board = FlightBoard()
        host = await started(tmp_path, board)
        assert board.board == THIRD
        assert contents(tmp_path) == before
        assert {line.split()[0] for line in host.log.lines} == {"state.loaded"}

    async def test_version_between_takes_the_last_step_alone(
        self, tmp_path: Path
    ) -> None:
        await save(tmp_path, SECOND, 2)
        await started(tmp_path, FlightBoard())
        assert stored(board_file(tmp_path)) == (3, THIRD)

    async def test_plugin_that_cannot_start_stops_nobody_else(
        self, tmp_path: Path
    ) -> None:
        await save(tmp_path, {**FIRST, "airports": ["jfk", "xyz"]}, 1)
        before = contents(tmp_path)
        host = Host(tmp_path, Log())
        notes = DailyNotes()
        async with host.running(FlightBoard(), notes):
            await notes.typed("x")
        assert list(host.failed) == ["flight-board"]
        error = host.failed["flight-board"]
        assert isinstance(error, StateMigrationError)
        assert isinstance(error.__cause__, LookupError)
        assert any("not started" in line for line in host.log.lines)
        assert {**contents(tmp_path), **before} == contents(tmp_path)
        assert stored(tmp_path / "daily-notes.json")[1]["draft"] == "x"

    async def test_newer_state_is_left_alone(self, tmp_path: Path) -> None:
        await save(tmp_path, THIRD, 4)
        before = contents(tmp_path)
        host = await started(tmp_path, FlightBoard())
        error = host.failed["flight-board"]
        assert isinstance(error, PluginStateError)
        assert "version 4, and this is version 3" in str(error)
        assert contents(tmp_path) == before

    async def test_damage_right_behind_a_migration_is_migrated_anew(
        self, tmp_path: Path
    ) -> None:
        await watch_two_airports(tmp_path)
        await started(tmp_path, FlightBoard())
        half = cut(board_file(tmp_path))
        board = FlightBoard()
        host = await started(tmp_path, board)
        assert not host.failed
        assert board.board == THIRD
        assert stored(board_file(tmp_path)) == (3, THIRD)
        assert contents(tmp_path)["flight-board.corrupt-1.json"] == half

    async def test_damage_without_a_backup_is_left_to_look_at(
        self, tmp_path: Path
    ) -> None:
        await save(tmp_path, THIRD, 3)
        half = cut(board_file(tmp_path))
        notes = DailyNotes()
        host = await started(tmp_path, FlightBoard(), notes)
        assert isinstance(host.failed["flight-board"], StateParseError)
        assert "daily-notes" not in host.failed
        assert contents(tmp_path) == {"flight-board.json": half}

    async def test_refused_state_gives_way_to_the_backup(self, tmp_path: Path) -> None:
        await save(tmp_path, THIRD, 3)
        await show_no_rows(tmp_path)
        refused = board_file(tmp_path).read_bytes()
        board = FlightBoard()
        host = await started(tmp_path, board)
        assert board.board == THIRD
        assert stored(board_file(tmp_path)) == (3, THIRD)
        assert backup_of_board(tmp_path, 1).read_bytes() == refused
        assert f"host flight-board: {REFUSED}" in host.log.lines

    async def test_backup_from_before_the_migration_is_lifted_too(
        self, tmp_path: Path
    ) -> None:
        await save(tmp_path, FIRST, 1)
        await save(tmp_path, NO_ROWS, 3)
        board = FlightBoard()
        host = await started(tmp_path, board)
        assert not host.failed
        assert board.board == THIRD
        assert stored(board_file(tmp_path)) == (3, THIRD)

    async def test_backup_that_is_refused_too_ends_in_an_error(
        self, tmp_path: Path
    ) -> None:
        await save(tmp_path, NO_ROWS, 3)
        await save(tmp_path, {}, 3)
        host = await started(tmp_path, FlightBoard())
        assert isinstance(host.failed["flight-board"], PluginStateError)
        left = {json.loads(each)["version"] for each in contents(tmp_path).values()}
        assert left == {3}

    async def test_refused_state_without_a_backup_stays(self, tmp_path: Path) -> None:
        await save(tmp_path, NO_ROWS, 3)
        before = contents(tmp_path)
        host = await started(tmp_path, FlightBoard())
        assert isinstance(host.failed["flight-board"], StateReadError)
        assert contents(tmp_path) == before

    async def test_first_start_writes_nothing(self, tmp_path: Path) -> None:
        host = await started(tmp_path, FlightBoard(), DailyNotes())
        assert not host.failed
        assert contents(tmp_path) == {}

    async def test_plugins_of_one_name_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="would share a document"):
            await started(tmp_path, DailyNotes(), FlightBoard(), DailyNotes())


class TestMigrations:
    def test_second_version_gathers_what_is_shown(self) -> None:
        given = copy.deepcopy(FIRST)
        assert to_version_2(given, 1) == to_version_2(given, 1) == SECOND
        assert given == FIRST
        shown = to_version_2({**FIRST, "clock24": False}, 1)["display"]
        assert shown == {"rows": 12, "clock": "12h"}

    @pytest.mark.anyio
    async def test_third_version_adds_time_zones(self) -> None:
        given = copy.deepcopy(SECOND)
        assert await to_version_3(given, 2) == await to_version_3(given, 2) == THIRD
        assert given == SECOND

    @pytest.mark.anyio
    async def test_airport_that_nobody_knows_is_no_airport(self) -> None:
        with pytest.raises(LookupError, match="no airport 'XYZ'"):
            await to_version_3({**SECOND, "airports": ["JFK", "XYZ"]}, 2)

    def test_there_is_a_step_to_each_version(self) -> None:
        for plugin in (FlightBoard, DailyNotes):
            assert sorted(plugin.migrations) == [*range(2, plugin.version + 1)]


class TestFlightBoard:
    @pytest.mark.anyio
    async def test_first_document_has_the_version_of_the_plugin(
        self, tmp_path: Path
    ) -> None:
        board = FlightBoard()
        async with Host(tmp_path, Log()).running(board):
            await board.watch("LHR")
        shown = {"rows": 12, "clock": "24h"}
        expected = {"airports": {"LHR": LONDON}, "display": shown}
        assert stored(board_file(tmp_path)) == (3, expected)
        again = FlightBoard()
        host = await started(tmp_path, again)
        assert not host.failed
        assert again.board == expected

    @pytest.mark.anyio
    async def test_change_keeps_what_others_wrote(self, tmp_path: Path) -> None:
        board = FlightBoard()
        async with Host(tmp_path, Log()).running(board):
            await save(tmp_path, THIRD, 3)
            await board.resize(20)
            async with anyio.create_task_group() as group:
                group.start_soon(board.watch, "LHR")
                group.start_soon(board.resize, 21)
        expected = {**LONDON_TOO, "display": {"rows": 21, "clock": "24h"}}
        assert board.board == expected
        assert stored(board_file(tmp_path)) == (3, expected)

    @pytest.mark.anyio
    @pytest.mark.parametrize(
        "change", [lambda board: board.resize(0), lambda board: board.watch("XYZ")]
    )
    async def test_change_that_cannot_be_shown_is_not_saved(
        self, tmp_path: Path, change: Callable[[FlightBoard], Awaitable[None]]
    ) -> None:
        await save(tmp_path, THIRD, 3)
        before = contents(tmp_path)
        board = FlightBoard()
        async with Host(tmp_path, Log()).running(board):
            with pytest.raises((ValueError, LookupError)):
                await change(board)
            assert board.board == THIRD
        assert contents(tmp_path) == before

    @pytest.mark.parametrize(
        "data",
        [
            *(None, 3, "board", [], {}, FIRST, SECOND, NO_ROWS),
            {**THIRD, "airports": {"JFK": None}},
            {**THIRD, "display": {"rows": 41, "clock": "24h"}},
            {**THIRD, "display": {"rows": "12", "clock": "24h"}},
            {**THIRD, "display": {"rows": 12, "clock": "decimal"}},
            {**THIRD, "display": None},
        ],
    )
    def test_what_cannot_be_shown_is_not_accepted(self, data: Any) -> None:
        assert FlightBoard().accepts(data) is False

    @pytest.mark.parametrize("data", [THIRD, LONDON_TOO, FlightBoard().board])
    def test_board_is_accepted(self, data: Any) -> None:
        assert FlightBoard().accepts(data) is True


class TestDailyNotes:
    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is written since it was quiet for long: only when it has to be."""
        monkeypatch.setattr(daily_notes, "_QUIET", 3_600.0)
        monkeypatch.setattr(daily_notes, "_AT_MOST", 3_600.0)

    @pytest.mark.anyio
    async def test_draft_is_written_once_at_closing(self, tmp_path: Path) -> None:
        notes = DailyNotes()
        host = Host(tmp_path, Log())
        async with host.running(notes):
            for key in "Call the dentist":
                await notes.typed(key)
            await anyio.wait_all_tasks_blocked()
            assert contents(tmp_path) == {}
        expected = {"notes": [], "draft": "Call the dentist"}
        assert stored(tmp_path / "daily-notes.json") == (1, expected)
        assert len(contents(tmp_path)) == len(host.log.lines) == 1
        again = DailyNotes()
        await started(tmp_path, again)
        assert again.data == expected

    @pytest.mark.anyio
    async def test_note_is_on_disk_when_it_is_kept(self, tmp_path: Path) -> None:
        notes = DailyNotes()
        async with Host(tmp_path, Log()).running(notes):
            await notes.typed("Water the fern")
            await notes.keep(DAY)
            expected = {"notes": NOTES["notes"], "draft": ""}
            assert stored(tmp_path / "daily-notes.json") == (1, expected)

    @pytest.mark.anyio
    async def test_key_that_is_pressed_while_a_note_is_kept_loses_neither(
        self, tmp_path: Path
    ) -> None:
        notes = DailyNotes()
        begun = anyio.Event()

        async def keep() -> None:
            begun.set()
            await notes.keep(DAY)

        async with Host(tmp_path, Log()).running(notes):
            await notes.typed("Water the fern")
            async with anyio.create_task_group() as group:
                group.start_soon(keep)
                await begun.wait()
                await notes.typed("Call the dentist")
        assert stored(tmp_path / "daily-notes.json") == (1, NOTES)

    @pytest.mark.anyio
    async def test_empty_draft_is_not_kept(self, tmp_path: Path) -> None:
        notes = DailyNotes()
        async with Host(tmp_path, Log()).running(notes):
            with pytest.raises(ValueError, match="empty draft"):
                await notes.keep(DAY)
        assert contents(tmp_path) == {}

    @pytest.mark.anyio
    async def test_save_that_failed_behind_its_back_is_trouble(
        self, tmp_path: Path
    ) -> None:
        notes, board = DailyNotes(), FlightBoard()
        path = tmp_path / "daily-notes.json"
        async with Host(tmp_path, Log()).running(notes, board):
            with pytest.raises(ValueError, match="no board"):
                await board.resize(0)
            assert notes.trouble is None
            path.mkdir()
            await notes.typed("x")
            with pytest.raises(StateWriteError):
                await notes.keep(DAY)
            assert isinstance(notes.trouble, StateWriteError)
            await board.watch("LHR")
            assert notes.trouble is not None
            path.rmdir()
            await notes.typed("y")
            await notes.keep(DAY)
            assert notes.trouble is None
        texts = [note["text"] for note in stored(path)[1]["notes"]]
        assert texts == ["x", "y"]

    def test_kept_leaves_what_it_is_given(self) -> None:
        given = {"notes": [{"day": "2026-03-01", "text": "Rain"}], "draft": "Sun"}
        before = copy.deepcopy(given)
        after = kept(given, DAY)
        assert given == before
        assert after["draft"] == ""
        assert [note["text"] for note in after["notes"]] == ["Rain", "Sun"]

    @pytest.mark.parametrize(
        "data",
        [
            *(None, [], {}, {"notes": []}, {"notes": {}, "draft": ""}),
            {"notes": [], "draft": None},
            {"notes": ["Rain"], "draft": ""},
            {"notes": [{"day": 1, "text": "Rain"}], "draft": ""},
        ],
    )
    def test_what_are_no_notes_is_not_accepted(self, data: Any) -> None:
        assert DailyNotes().accepts(data) is False

    @pytest.mark.parametrize("data", [NOTES, DailyNotes().data])
    def test_notes_are_accepted(self, data: Any) -> None:
        assert DailyNotes().accepts(data) is True


class TestDisk:
    def test_files_come_plugin_by_plugin_and_the_document_first(
        self, tmp_path: Path
    ) -> None:
        names = [
            "a.json",
            "a.corrupt-1.json",
            "a.backup.1.json",
            "a.backup.2.json",
            "a-b.json",
        ]
        for name in names:
            (tmp_path / name).write_text('{"version": 2, "data": []}')
        (tmp_path / ".locks").mkdir()
        found = files_in(tmp_path)
        assert [file.name for file in found] == names
        assert {(file.version, file.text) for file in found} == {(2, "[]")}

    def test_damaged_file_is_shown_where_it_breaks_off(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_bytes(b'{"version": 1, "data": "\xc3')
        (file,) = files_in(tmp_path)
        assert file.version is None
        assert file.text.startswith("breaks off after ...")
        assert '"data": "' in file.text

    def test_cut_leaves_half(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_bytes(b"0123456789")
        assert cut(path) == path.read_bytes() == b"01234"


class TestLog:
    def test_line_names_files_without_their_folder(self, tmp_path: Path) -> None:
        event = StateBackupCreatedEvent("clock", str(tmp_path / "clock.backup.1.json"))
        expected = "state.backup.created clock: backup_path clock.backup.1.json"
        assert line_of(event) == expected

    @pytest.mark.anyio
    async def test_log_hears_every_event(self, tmp_path: Path) -> None:
        log = Log()
        store = FileSystemStateStore(state_dir=tmp_path)
        store.events.on("*", log.heard)
        state = StateManager(store, "clock")
        async with store:
            await state.save({})
            await state.save({})
            await state.clear()
            with pytest.raises(StateReadError):
                await state.restore(9)
        backup = "state.backup.created clock: backup_path clock.backup.1.json"
        assert log.lines[1:5] == [
            backup,
            log.lines[0],
            backup,
            "state.cleared clock",
        ]
        assert log.lines[0].startswith("state.saved clock: version 1, size ")
        assert log.lines[5].startswith("state.error clock: operation restore, error ")
