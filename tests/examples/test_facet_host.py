"""Facet host: its story as a person runs it, its claims at fault, its plugins alone.

A checkpoint that was tampered with between the two lives has to be told.  Start at
`TestStory`.
"""

import ast
import doctest
import importlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from facet_host import __main__ as program
from facet_host import facets, host, story
from facet_host.checks import claims_of_the_end, counted, tallies_in, uninterrupted
from facet_host.duty import DutyOffice, decisions_in
from facet_host.evening import read_evening
from facet_host.facets import (
    BOARD_WANTED,
    CARRIER_LATE,
    DELAYS_COUNTED,
    FLIGHT_KNOWN,
    GATE_CLOSED,
    DelayBook,
    Flight,
    GateBoard,
    Tally,
)
from facet_host.host import CONFIG, Host
from facet_host.life import (
    Began,
    Kept,
    Reached,
    Report,
    Said,
    digest,
    live,
    restored_store,
)
from facet_host.lives import Life, LifeError, lived
from facet_host.plugins.delays import Delays
from facet_host.plugins.desk import Desk
from facet_host.plugins.gates import Gates
from facet_host.story import KEPT_AT, KILLED_AT, Act, Stage
from flights.clock import event_time, scheduled_departure, wall_clock
from flights.data import read_rows
from latency_kv import CheckpointDirectory, InMemoryStore, PluginManager, StateSnapshot
from latency_kv import facets as catalog
from latency_kv.facets import DecisionHandler
from latency_kv.plugins import (
    PLUGIN_KEYS,
    FacetRegistry,
    ObjectPluginState,
    PluginManifest,
    StoredPluginState,
)
from latency_kv.providers import PyeeEventBus, StandardLogger
from latency_kv.testing import DecisionHandlerContract

EXAMPLES = Path(host.__file__).parents[1]
SOURCES = Path(host.__file__).parent
PLUGINS = ["gates", "delays", "desk"]
CLAIMS = 22

EVENING = read_evening()
START = EVENING[0].known_at

# What a plugin may know of this host.
COMMON = {"facet_host.facets", "facet_host.manifests"}


def environment() -> dict[str, str]:
    """As ours, with the modules that we see."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def newest(folder: Path) -> InMemoryStore:
    return restored_store(CheckpointDirectory(folder))


def write(folder: Path, store: InMemoryStore) -> None:
    CheckpointDirectory(folder).write(store.snapshot())


def a_minute_more(folder: Path) -> None:
    store = newest(folder)
    state = StoredPluginState(store, "delays")
    flights, cancelled, minutes = state.get("tally DL")
    state.set("tally DL", [flights, cancelled, minutes + 1])
    write(folder, store)


def a_desk_that_forgot(folder: Path) -> None:
    store = newest(folder)
    assert StoredPluginState(store, "desk").clear() == 1
    write(folder, store)


def a_gate_that_was_opened(folder: Path) -> None:
    store = newest(folder)
    gates = StoredPluginState(store, "gates")
    gates.set("closed MQ", [])
    write(folder, store)


def a_flight_less(folder: Path) -> None:
    store = newest(folder)
    store.put(b"position", (KEPT_AT - 1).to_bytes(8))
    write(folder, store)


def another_question(folder: Path) -> None:
    store = newest(folder)
    for key, value in [*store.prefix_scan(b"decision:")]:
        store.put(key[:-1] + b"\7", value.replace(b"\xa11", b"\xa17", 1))
    assert [each.id for each in decisions_in(store)] == ["1", "7"]
    write(folder, store)


def a_bit_that_fell_over(folder: Path) -> None:
    path = CheckpointDirectory(folder).list()[0].path
    image = bytearray(path.read_bytes())
    image[len(image) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(image)


def nothing_left(folder: Path) -> None:
    for info in CheckpointDirectory(folder).list():
        info.path.unlink()


ON_FROM = "it went on from the newest checkpoint"
EXACTLY = "it began with what the first one had then, entry for entry"
AGAIN = "what was said since then was said again, and nothing else"
ANSWERED = "the question of the first was answered in the second"
WARNED = "no plugin failed, and nobody was warned"
COUNTS = "each carrier's counts are those of the file"
CLOSED = "each cancelled flight closed a gate"
ONCE = "the state has one question for each late carrier"
AS_WITHOUT = "all is as without a kill, entry for entry"


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """What a killed host leaves, to be copied."""
    stage = Stage(tmp_path_factory.mktemp("killed"), "asyncio")
    act = anyio.run(story.killed, stage)
    assert all(act.claims.values())
    return stage


class TestStory:
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_story_is_as_told(self, backend: str, tmp_path: Path) -> None:
        state = tmp_path / "state"
        done = subprocess.run(
            [
                *(sys.executable, "-B", "-W", "error", "-m", "facet_host"),
                *("--state", state, "--backend", backend),
            ],
            check=False,
            cwd=EXAMPLES,
            env=environment() | {"COLUMNS": "80"},
            capture_output=True,
            text=True,
        )
        shown = done.stdout
        assert (done.returncode, done.stderr) == (0, ""), shown + done.stderr
        assert shown.isascii()
        assert "\x1b" not in shown
        assert "NO " not in shown
        assert shown.endswith(f"{CLAIMS} of {CLAIMS} claims hold.\n")
        for number, act in enumerate(story.ACTS, 1):
            title, _, _ = (act.__doc__ or "").partition("\n")
            assert f"\n{number}. {title}\n" in shown
        for line in excerpt():
            assert f"{line}\n" in shown
        kept = [info.generation for info in CheckpointDirectory(state).list()]
        assert kept == [6, 5, 4]
        assert all(claims_of_the_end(newest(state), EVENING).values())

    @pytest.mark.anyio
    async def test_acts_leave_what_they_tell(
        self, tmp_path: Path, anyio_backend_name: str
    ) -> None:
        stage = Stage(tmp_path, anyio_backend_name)
        await story.loaded(stage)
        assert [*tmp_path.iterdir()] == []

        await story.killed(stage)
        assert Host(newest(tmp_path)).position == KEPT_AT
        expected = await uninterrupted(EVENING[:KEPT_AT])
        assert newest(tmp_path) == expected
        assert tallies_in(expected) == counted(EVENING[:KEPT_AT])

        await story.restarted(stage)
        assert [life.exit_status for life in stage.lives] == [-9, 0]
        assert [life.reached for life in stage.lives] == [KILLED_AT, len(EVENING)]
        expected = await uninterrupted(EVENING)
        assert newest(tmp_path) == expected
        assert tallies_in(expected) == counted(EVENING)

        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        await story.refused(stage)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    @pytest.mark.parametrize(
        ("tamper", "broken"),
        [
            (a_minute_more, {EXACTLY, COUNTS, AS_WITHOUT}),
            (a_desk_that_forgot, {EXACTLY, ANSWERED}),
            (a_gate_that_was_opened, {EXACTLY, CLOSED, AS_WITHOUT}),
            (a_flight_less, {ON_FROM, EXACTLY, AGAIN, COUNTS, AS_WITHOUT}),
            (another_question, {EXACTLY, AGAIN, ANSWERED, ONCE, AS_WITHOUT}),
            (a_bit_that_fell_over, {ON_FROM, EXACTLY, AGAIN, ANSWERED, WARNED}),
            (nothing_left, {ON_FROM, EXACTLY, AGAIN, ANSWERED}),
        ],
    )
    def test_state_that_was_tampered_with_is_told(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        killed_once: Stage,
        tamper: Callable[[Path], None],
        broken: set[str],
    ) -> None:
        async def killed(stage: Stage) -> Act:
            shutil.copytree(killed_once.folder, stage.folder)
            stage.lives += killed_once.lives
            tamper(stage.folder)
            return Act({}, {})

        monkeypatch.setattr(program, "ACTS", (killed, story.restarted))
        with pytest.raises(SystemExit, match="not as told"):
            program.main(["--state", str(tmp_path / "state")])
        shown = capsys.readouterr().out
        refuted = {line[7:] for line in shown.splitlines() if line[:7] == "  NO   "}
        assert refuted == broken

    def test_process_that_was_not_killed_is_told(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def spared(folder: Path, stop: int, backend: str, *, kill: bool) -> Life:
            return await lived(folder, stop, backend, kill=False)

        monkeypatch.setattr(story, "lived", spared)
        with pytest.raises(SystemExit, match="not as told"):
            program.main(["--state", str(tmp_path / "state")])
        shown = capsys.readouterr().out
        assert "  NO   the process was killed\n" in shown
        assert shown.endswith(f"{CLAIMS - 1} of {CLAIMS} claims hold.\n")

    def test_host_that_ends_by_itself_ends_the_story(
        self,
        tmp_path: Path,
        killed_once: Stage,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def restarted(stage: Stage) -> Act:
            shutil.copytree(killed_once.folder, stage.folder)
            for info in CheckpointDirectory(stage.folder).list():
                info.path.write_bytes(b"")
            await lived(stage.folder, len(EVENING), stage.backend, kill=False)
            raise AssertionError

        monkeypatch.setattr(program, "ACTS", (restarted,))
        with pytest.raises(SystemExit, match="breaks off: .* exit status 1"):
            program.main(["--state", str(tmp_path / "state")])
        assert "none of its 2 checkpoints can be read" in capfd.readouterr().err

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
        failed, attempted = doctest.testmod(facets)
        assert (failed, attempted > 0) == (0, True)


def excerpt() -> Iterator[str]:
    """The lines of output that README shows."""
    blocks = (SOURCES / "README.md").read_text(encoding="ascii").split("```\n")[1::2]
    (shown,) = [block for block in blocks if "claims hold" in block]
    return (line for line in shown.splitlines() if line != "...")


@pytest.mark.anyio
class TestHost:
    async def test_host_goes_on_from_any_flight(self) -> None:
        whole, parted = Host(InMemoryStore()), Host(InMemoryStore())
        async with whole.running():
            for number, flight in enumerate(EVENING, 1):
                async with parted.running():
                    await parted.hear(flight)
                await whole.hear(flight)
                assert parted.position == number
                assert parted.store == whole.store
                image = parted.store.snapshot().to_bytes()
                restored = InMemoryStore.from_snapshot(StateSnapshot.from_bytes(image))
                parted = Host(restored)
        assert digest(parted.store) == digest(whole.store)
        assert all(claims_of_the_end(parted.store, EVENING).values())

    async def test_loading_and_unloading_change_no_state(self) -> None:
        store = await uninterrupted(EVENING[:KILLED_AT])
        before = digest(store)
        async with Host(store).running():
            assert digest(store) == before
        assert digest(store) == before

    async def test_every_entry_is_somebodys(self) -> None:
        store = await uninterrupted(EVENING)
        owners = set()
        for key in store:
            if key.startswith(PLUGIN_KEYS.prefix()):
                owners.add(PLUGIN_KEYS.unpack(key)[0])
            else:
                assert key == b"position" or key.startswith(b"decision:")
        assert owners == {*PLUGINS}

    async def test_order_of_registration_changes_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = await uninterrupted(EVENING)
        monkeypatch.setattr(host, "PLUGINS", host.PLUGINS[::-1])
        assert await uninterrupted(EVENING) == expected

    async def test_claims_of_the_end_are_about_the_state(self) -> None:
        store = await uninterrupted(EVENING[:-1])
        assert [
            c for c, holds in claims_of_the_end(store, EVENING).items() if not holds
        ] == [COUNTS]


@pytest.mark.anyio
class TestLife:
    async def test_life_goes_on_from_the_newest_checkpoint(
        self, tmp_path: Path
    ) -> None:
        first = await reports_of(tmp_path, KILLED_AT)
        second = await reports_of(tmp_path, len(EVENING))
        assert [each for each in first if not isinstance(each, Said)] == [
            Began(PLUGINS, 0, digest(InMemoryStore())),
            *[await kept(generation, 10 * generation) for generation in (1, 2)],
            Reached(KILLED_AT),
        ]
        assert [each for each in second if not isinstance(each, Said)] == [
            Began(PLUGINS, KEPT_AT, (await kept(2, KEPT_AT)).state),
            *[await kept(generation, 10 * generation) for generation in (3, 4, 5)],
            await kept(6, len(EVENING)),
            Reached(len(EVENING)),
        ]

    async def test_plugins_that_keep_by_reference_forget(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def by_reference(store: InMemoryStore, plugin_name: str) -> ObjectPluginState:
            return ObjectPluginState()

        monkeypatch.setattr(host, "StoredPluginState", by_reference)
        await reports_of(tmp_path, KILLED_AT)
        await reports_of(tmp_path, len(EVENING))
        claims = claims_of_the_end(newest(tmp_path), EVENING)
        assert not any(claims.values())

    async def test_handler_that_fails_is_reported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fewer = {code: gates for code, gates in CONFIG["gates"].items() if code != "DL"}
        monkeypatch.setattr(host, "CONFIG", {**CONFIG, "gates": fewer})
        reports = await reports_of(tmp_path, KEPT_AT)
        failed = [
            each.flight
            for each in reports
            if isinstance(each, Said) and each.level == logging.ERROR
        ]
        of_delta = [n for n, each in enumerate(EVENING, 1) if each.carrier == "DL"]
        assert failed == [each for each in of_delta if each <= KEPT_AT]

    async def test_life_leaves_no_handler_behind(self, tmp_path: Path) -> None:
        loggers = [logging.getLogger(name) for name in ("facet_host", "latency_kv")]
        before = [[*logger.handlers] for logger in loggers]
        await reports_of(tmp_path, 1)
        assert [logger.handlers for logger in loggers] == before

    async def test_life_of_another_process_that_fails_is_told(
        self, tmp_path: Path, anyio_backend_name: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "file"
        file.touch()
        with pytest.raises(LifeError, match="ended by itself, with exit status 1"):
            await lived(file, 1, anyio_backend_name, kill=False)
        assert "Error" in capfd.readouterr().err


async def reports_of(folder: Path, stop: int) -> list[Report]:
    """What a life in this process reports."""
    reports: list[Report] = []
    waited = []

    async def wait() -> None:
        waited.append(len(reports))

    await live(folder, stop, reports.append, wait)
    assert waited == [len(reports)]
    return reports


async def kept(generation: int, position: int) -> Kept:
    """The report of a checkpoint after so many flights."""
    return Kept(generation, position, digest(await uninterrupted(EVENING[:position])))


class TestPlugins:
    @pytest.mark.parametrize("name", PLUGINS)
    def test_plugin_imports_no_other_and_no_host(self, name: str) -> None:
        tree = ast.parse((SOURCES / "plugins" / f"{name}.py").read_text())
        imported = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(node.module or "")
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
        assert {each for each in imported if each.startswith("facet_host")} == COMMON
        assert "importlib" not in imported
        for other in {*PLUGINS} - {name}:
            assert f"facet_host.plugins.{other}" not in ast.unparse(tree)

    @pytest.mark.parametrize("name", PLUGINS)
    def test_plugin_comes_without_the_others(self, name: str) -> None:
        done = subprocess.run(
            [
                *(sys.executable, "-P", "-B", "-W", "error", "-c"),
                f"import sys, facet_host.plugins.{name}; print(*sys.modules)",
            ],
            check=True,
            env=environment(),
            capture_output=True,
            text=True,
        )
        loaded = {
            each for each in done.stdout.split() if each.startswith("facet_host.")
        }
        own = {"facet_host.plugins", f"facet_host.plugins.{name}"}
        assert loaded == COMMON | own

    def test_each_plugin_has_its_manifest_beside_it(self) -> None:
        found = sorted(path.stem for path in (SOURCES / "plugins").glob("*.toml"))
        assert found == sorted(PLUGINS)
        for name in PLUGINS:
            module = importlib.import_module(f"facet_host.plugins.{name}")
            manifest = getattr(module, name.capitalize()).manifest
            assert isinstance(manifest, PluginManifest)
            assert manifest.id == name
            assert manifest.description

    def test_manifests_name_facets_that_there_are(self) -> None:
        for manifest in (Gates.manifest, Delays.manifest, Desk.manifest):
            names = [each.facet for each in manifest.provides]
            names += [each.facet for each in manifest.requires]
            for name in names:
                assert hasattr(facets, name) or hasattr(catalog, name)

    @pytest.mark.anyio
    async def test_delays_count_alike_whatever_their_state_is(self) -> None:
        for state in (None, lambda name: StoredPluginState(InMemoryStore(), name)):
            events, late = PyeeEventBus(), list[str]()
            events.on(CARRIER_LATE, late.append)
            async with PluginManager(
                events=events, state=state, config=CONFIG
            ) as plugins:
                plugins.register(Delays())
                await plugins.load_all()
                for flight in EVENING:
                    await events.emit(FLIGHT_KNOWN, flight)
                book = plugins.registry.resolve(DelayBook)
                found = {carrier: book.tally(carrier) for carrier in book.carriers()}
            assert found == counted(EVENING)
            assert late == ["DL", "B6", "AA"]
            assert book.tally("XX") == Tally()

    @pytest.mark.anyio
    async def test_cancelled_flight_keeps_its_gate(self) -> None:
        events, closed = PyeeEventBus(), list[str]()
        events.on(GATE_CLOSED, lambda flight: closed.append(flight.number))
        config = {"gates": {"DL": ["D1", "D2", "D3"]}}
        async with PluginManager(events=events, config=config) as plugins:
            plugins.register(Gates())
            await plugins.load_all()
            board = plugins.registry.resolve(GateBoard)
            delays = [0, None, 5, 7, None, None, 9]
            for number, delay in enumerate(delays):
                flight = Flight(START, f"DL {number}", "LAX", delay)
                await events.emit(FLIGHT_KNOWN, flight)
            gates = [board.gate_of(f"DL {number}") for number in range(len(delays))]
            cancelled = [board.gate_of(number) for number in closed]
            assert board.closed("DL") == cancelled
            assert (board.closed("B6"), board.gate_of("B6 1")) == ([], None)
        assert closed == ["DL 1", "DL 4", "DL 5"]
        assert sorted(gate for gate in cancelled if gate) == ["D1", "D2", "D3"]
        # Nothing is free any more.
        assert gates[-1] is None
        assert None not in gates[:-1]

    @pytest.mark.anyio
    async def test_desk_is_served_by_whoever_provides_its_facets(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "facet_host")
        desk = Served()
        async with desk.plugins as plugins:
            await plugins.load_all()
            await desk.events.emit(GATE_CLOSED, Flight(START, "XX 7", "ROC", None))
            await desk.events.emit(CARRIER_LATE, "XX")
            (decision,) = await desk.duty.list_pending_decisions()
            assert decision.title == "Rebook the passengers of XX?"
            assert decision.description == (
                "20 minutes late on average, 1 of 4 flights cancelled, gates closed: 1"
            )
            await desk.duty.resolve_decision(decision.id, host._ANSWER)
            await desk.events.emit(DELAYS_COUNTED, "XX")
            await desk.events.emit(DELAYS_COUNTED, "XX")
        assert caplog.messages == [
            "XX 7 to ROC is cancelled, gate Z9 closed plugin=desk",
            "asks: Rebook the passengers of XX? plugin=desk question=1",
            "hears: rebook plugin=desk question=1",
        ]

    @pytest.mark.anyio
    async def test_board_is_made_on_demand_and_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "facet_host")
        desk = Served()
        async with desk.plugins as plugins:
            await plugins.load_all()
            await desk.events.emit(DELAYS_COUNTED, "XX")
            assert desk.book.asked == 0
            for _ in range(3):
                await desk.events.emit(BOARD_WANTED)
            assert desk.book.asked == 1
            await desk.events.emit(DELAYS_COUNTED, "XX")
            await desk.events.emit(DELAYS_COUNTED, "XX")
            await desk.events.emit(BOARD_WANTED)
            assert desk.book.asked == 2
            scope = desk.plugin._scope
            await plugins.unload("desk")
            with pytest.raises(RuntimeError, match="disposed"):
                await scope.resolve(desk.plugin._board)
            await plugins.load("desk")
            await desk.events.emit(BOARD_WANTED)
        made = [line.split(":")[0] for line in caplog.messages if "makes" in line]
        assert made == ["makes board 1", "makes board 2", "makes board 1"]


class Served:
    """A desk alone, among providers that are no plugins."""

    def __init__(self) -> None:
        self.book = StandInBook()
        self.events = PyeeEventBus()
        self.duty = DutyOffice(InMemoryStore(), lambda: START)
        registry = FacetRegistry()
        registry.register(GateBoard, StandInGates())
        registry.register(DelayBook, self.book)
        registry.register(DecisionHandler, self.duty)
        self.plugins = PluginManager(
            registry=registry, logger=StandardLogger("facet_host"), events=self.events
        )
        self.plugin = Desk()
        self.plugins.register(self.plugin)


class StandInGates:
    def gate_of(self, number: str, /) -> str | None:
        return "Z9"

    def closed(self, carrier: str, /) -> list[str]:
        return ["Z9"]


class StandInBook:
    """Counts how often it is asked who there is, which is once for a board."""

    def __init__(self) -> None:
        self.asked = 0

    def tally(self, carrier: str, /) -> Tally:
        return Tally(4, 1, 60)

    def carriers(self) -> list[str]:
        self.asked += 1
        return ["XX"]


class TestDutyOffice(DecisionHandlerContract):
    @pytest.fixture
    def provider(self) -> DutyOffice:
        return DutyOffice(InMemoryStore(), lambda: datetime.now(UTC))

    async def test_decisions_survive_in_a_snapshot(self) -> None:
        store = await uninterrupted(EVENING)
        restored = InMemoryStore.from_snapshot(store.snapshot())
        decisions = [*decisions_in(restored)]
        assert decisions == [*decisions_in(store)]
        assert [each.status for each in decisions] == ["resolved"] * 3
        # The time of the airport, and not of the machine.
        assert {each.created_at.date() for each in decisions} == {START.date()}


class TestEvening:
    def test_flights_are_those_of_the_data_set(self, path: Path) -> None:
        when_columns = ("year", "month", "day", "hour", "minute")
        columns = (*when_columns, "dep_delay", "origin", "dest", "carrier", "flight")
        expected = []
        for *when, delayed, origin, destination, carrier, number in read_rows(
            path, columns
        ):
            year, month, day, hour, minute = map(int, when)
            if origin != "JFK" or (month, day) not in ((5, 22), (5, 23), (5, 24)):
                continue
            delay = None if delayed == "NA" else int(delayed)
            scheduled = scheduled_departure(year, month, day, hour, minute)
            at = wall_clock(event_time(scheduled, delay))
            if at.date() == START.date() and 17 <= at.hour < 19:
                expected.append(Flight(at, f"{carrier} {number}", destination, delay))
        expected.sort(key=lambda flight: flight.known_at)
        assert expected == EVENING

    def test_no_flight_comes_twice(self) -> None:
        assert len({flight.number for flight in EVENING}) == len(EVENING) == 52
