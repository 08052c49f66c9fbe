"""Redis on a wire: connections that break, hang and lie, and what was on its way.

What is sent surely not, surely, or perhaps; what is repeated; which answers are taken
for answers. Start at `TestRedisOnAWire`.
"""

from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from redis.asyncio import Connection
from redis.exceptions import NoScriptError

from latency_kv.errors import (
    OutcomeUnknownError,
    StateParseError,
    StateReadError,
    StateWriteError,
)
from latency_kv.providers import redis, redis_states
from latency_kv.providers.redis import RedisStateStore
from latency_kv.providers.redis_link import LinkOptions, Lost, RedisLink, Unsent
from latency_kv.providers.redis_scripts import delete, set_values, shard_of
from providers.calls import CALLS, READS, Call, by_call, failure_of, left_by
from providers.redis_checks import check_index, connection_count
from providers.store_checks import PATIENCE_S, TIMEOUT_S, WireChecks, open_files
from providers.wire import Wire
from servers import HOST, RedisServer

pytestmark = pytest.mark.anyio

MIB = 1 << 20

# What no server of this kind says, to whatever.
NO_ANSWERS = [
    *(b"\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b":x\r\n", b"$x\r\n", b"*x\r\n"),
    *(b"$-5\r\n", b"-\r\n", b"-MOVED 1\r\n", b"-MOVED x y:z\r\n", b"-ASK 1 h:p\r\n"),
    *(b":" + b"9" * 5_000 + b"\r\n", b"-" + b"x" * 200_000 + b"\r\n"),
    *(b"-E\x1b[2J " + b"x" * 60_000 + b"\r\n", b"x" * 60_000 + b"\r\n"),
    *(b"*1\r\n" * 3_000 + b":1\r\n", b"%1\r\n:1\r\n:2\r\n", b"#t\r\n"),
    b"*1\r\n*1\r\n$-1\r\n",
]

# What belongs to another request.
OTHERS_ANSWERS = {
    "get": [b":1\r\n", b"*0\r\n", b"*-7\r\n", b"*1\r\n$3\r\nold\r\n"],
    "has": [b"$-1\r\n", b"$1\r\n1\r\n", b"*0\r\n", b"+OK\r\n"],
    "keys": [
        *(b":1\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"*2\r\n$-1\r\n*0\r\n"),
        *(b"*3\r\n:1\r\n*0\r\n*0\r\n", b"*3\r\n$-1\r\n:1\r\n*0\r\n"),
        *(b"*3\r\n$-1\r\n*1\r\n:1\r\n*0\r\n", b"*3\r\n$-1\r\n*1\r\n-ERR x\r\n*0\r\n"),
        *(b"*3\r\n$-1\r\n*0\r\n*2\r\n:7\r\n:7\r\n", b"*3\r\n$-1\r\n*0\r\n*1\r\n:0\r\n"),
        b"*3\r\n$-1\r\n*1\r\n$1\r\na\r\n*2\r\n:0\r\n$1\r\nx\r\n",
    ],
    "set": [b"$-1\r\n", b"+OK\r\n", b"$1\r\n1\r\n", b"*0\r\n", b"*1\r\n:1\r\n"],
}

# None has more to say than that, and a little about itself.
LONGEST_MESSAGE = 800


class TestRedisOnAWire(WireChecks):
    scheme = "redis"
    wrong_options = (
        *("?tiemout=3", "?timeout=soon", "?timeout=0", "?timeout=nan", "?db=1"),
        *("?pool_size=0", "?pool_size=1.5", "?ssl_ca_certs=ca.pem"),
        *("/shop", "/-1", "/0/1", "/redis.sock", ":0", ":99999", ":1:2", ",other"),
    )
    wrong_limits = {"timeout": -1}, {"pool_size": 0}
    path = "/1"

    @pytest.fixture
    def place(self, redis_server: RedisServer) -> RedisServer:
        self.server = redis_server
        return redis_server

    def make(self, place: Any, namespace: str, **options: Any) -> RedisStateStore:
        return RedisStateStore(place.url, namespace, **options)

    def started(self) -> RedisServer:
        return RedisServer()

    async def connection_count(self, place: Any) -> int:
        return connection_count(place)

    async def spoil(self, store: Any, key: str, raw: bytes) -> None:
        self.server.cli("set", f"{store.namespace}:d:{key}", raw.decode())

    def longest_key(self, store: Any) -> str:
        return "k" * redis_states.MAX_KEY_SIZE

    def check(self, store: Any) -> None:
        check_index([self.server], store.namespace)

    async def end_connections(self, place: Any, store: Any) -> None:
        place.cli("client", "kill", "type", "normal", "skipme", "yes")
        reader = store._link._idle[0]._reader
        with anyio.fail_after(PATIENCE_S):
            while not reader.at_eof():
                await anyio.sleep(0.001)

    # What was on its way.

    async def test_connection_that_was_closed_from_elsewhere_is_a_lost_one(
        self, wired: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The client has no word for it, and it may have sent something."""

        async def send(*arguments: Any, **options: Any) -> None:
            raise AttributeError("'NoneType' object has no attribute 'writelines'")

        monkeypatch.setattr(Connection, "send_packed_command", send)
        with pytest.raises(OutcomeUnknownError, match="it was closed"):
            await wired.set("key", "new")
        monkeypatch.undo()
        assert await wired.get("key") == "old"

    async def test_what_was_given_up_is_not_sent_any_more(self) -> None:
        """Else it would come over what was written since."""
        with RedisServer() as server:
            async with RedisStateStore(server.url, "n", timeout=0.3) as store:
                # That asks how large a value may be.
                await store.set("key", "x" * 2 * MIB)
                await store.set("key", "old")
                before = open_files()
                server.pause()
                try:
                    with pytest.raises(OutcomeUnknownError):
                        # More than fits into the buffers of both systems.
                        await store.set("key", "x" * 64 * MIB)
                    await anyio.lowlevel.checkpoint()
                    assert open_files() == before - 1
                finally:
                    server.resume()
                store._options = store._options._replace(timeout=PATIENCE_S)
                assert await store.get("key") == "old"
                # The one that was given up is gone.
                with anyio.fail_after(PATIENCE_S):
                    while connection_count(server) > 1:
                        await anyio.sleep(0.01)
                assert await store.get("key") == "old"

    async def test_forgotten_scripts_take_no_more_time(
        self, wire: Wire, wired: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The second sending has what the first one left of the timeout."""
        limits = []
        exchanged = RedisLink._exchanged

        async def note(link: Any, commands: Any, given: Any) -> Any:
            limits.append(given.end)
            return await exchanged(link, commands, given)

        monkeypatch.setattr(RedisLink, "_exchanged", note)
        self.server.cli("script", "flush")
        await wired.set("key", "new")
        assert len(limits) == 2 and limits[0] == limits[1]

    @pytest.mark.parametrize("first", [1, NoScriptError("NOSCRIPT")])
    async def test_batch_that_is_half_applied_was_not_unsent(
        self, first: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Though it is when its scripts are sent again that there is no connection."""
        answers: list[Any] = [[first, NoScriptError("NOSCRIPT")]]

        async def exchanged(*arguments: Any) -> Any:
            if answers:
                return answers.pop()
            raise Unsent("there is no connection")

        monkeypatch.setattr(RedisLink, "_exchanged", exchanged)
        link = RedisLink(HOST, 1, LinkOptions(1, 1, {}, None))
        shard = shard_of("n")
        commands = [set_values(shard, {b"a": b"1"}), delete(shard, b"b")]
        with pytest.raises(Lost if first == 1 else Unsent):
            await link.exchange(commands, 1)

    @by_call
    async def test_ended_connection_is_made_anew(
        self, call: Call, place: RedisServer, wired: Any
    ) -> None:
        """Since the store sees the end, nothing is sent that could be lost."""
        await self.end_connections(place, wired)
        await call(wired)

    @by_call
    async def test_forgotten_script_is_sent_again(
        self, call: Call, wire: Wire, place: RedisServer, wired: Any
    ) -> None:
        expected = await call(wired) if call in READS.values() else None
        before = wire.passed
        await call(wired)
        usual = wire.passed - before
        await wired.set("key", "old")
        place.cli("script", "flush")
        before = wire.passed
        answer = await call(wired)
        plain = call in READS.values() and call is not READS["keys"]
        assert wire.passed - before == usual + (0 if plain else 1)
        if call in READS.values():
            assert answer == expected
        assert await wired.get("key", "gone") == left_by(call)

    async def test_set_many_is_one_or_none(
        self, wire: Wire, wired: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = wire.passed
        await wired.set_many({"key": "old", "a": 1, "b": 2})
        assert wire.passed == before + 1
        await wired.delete("a")
        await wired.delete("b")
        values = {f"key:{number:05}": number for number in range(5_000)}
        wire.next = "cut"
        with pytest.raises(OutcomeUnknownError):
            await wired.set_many(values)
        assert await wired.keys() == ["key"]
        await wired.set_many(values)
        assert await wired.keys("key:") == list(values)
        assert await wired.get_many(values) == list(values.values())
        monkeypatch.setattr(redis, "MAX_SET_MANY", 10)
        with pytest.raises(ValueError, match="at most 10"):
            await wired.set_many(dict.fromkeys(values, 0))
        assert await wired.get("key:00007") == 7

    async def test_pages_are_asked_for_as_they_are_needed(
        self, wire: Wire, wired: Any
    ) -> None:
        await wired.delete("key")
        keys = [f"key:{number:05}" for number in range(10_000)]
        await wired.set_many(dict.fromkeys(keys))
        before = wire.passed
        iterator = wired.iter_keys("key:")
        assert wire.passed == before
        assert await anext(iterator) == keys[0]
        assert wire.passed == before + 1
        assert [key async for key in iterator] == keys[1:]
        assert wire.passed > before + 5

    async def test_waiting_for_a_connection_has_an_end(
        self, wire: Wire, wired: Any
    ) -> None:
        wire.next = "hang"
        async with anyio.create_task_group() as tasks:

            async def hang() -> None:
                with pytest.raises(OutcomeUnknownError):
                    await wired.set("a", 1)

            tasks.start_soon(hang)
            await anyio.sleep(TIMEOUT_S / 5)
            wired._options = wired._options._replace(timeout=TIMEOUT_S / 5)
            with pytest.raises(StateWriteError, match="none was free"):
                await wired.set("b", 1)

    # Answers that are none.

    @by_call
    async def test_answer_that_is_none_is_told_of(
        self, call: Call, wire: Wire, wired: Any
    ) -> None:
        """A read is repeated; of a write nobody knows."""
        name = next(name for name, each in CALLS.items() if each is call)
        kind = {"get_many": "get"}.get(
            name, "set" if failure_of(call) is StateWriteError else name
        )
        expected = await call(wired) if call in READS.values() else None
        for answer in [*NO_ANSWERS, *OTHERS_ANSWERS[kind]]:
            await wired.set("key", "old")
            wire.lie = answer
            try:
                assert await call(wired) == expected
            except (StateReadError, StateWriteError, OutcomeUnknownError) as error:
                assert len(str(error)) < LONGEST_MESSAGE and str(error).isprintable()
                # A read is only refused by what may be a refusal.
                assert call not in READS.values() or answer.startswith(b"-")
            else:
                assert call in READS.values(), answer
            wire.lie = None
            # Nothing of it is taken for the answer to the next request.
            assert await wired.has("key") is (left_by(call) != "gone")

    async def test_listed_bytes_that_are_no_key_are_told_of(
        self, place: RedisServer, namespace: str
    ) -> None:
        script = """
        redis.call('ZADD', KEYS[1], 0, '\\255')
        redis.call('SET', KEYS[2] .. '\\255', '1', 'PX', ARGV[1])
        """
        async with self.make(place, namespace) as store:
            for life in ("3600000", "3600000000"):
                names = f"{namespace}:i", f"{namespace}:d:"
                place.cli("eval", script, "2", *names, life)
                with pytest.raises(StateParseError, match="no UTF-8") as info:
                    await store.keys()
                assert info.value.text == "\\xff"

    # How large a value may be.

    async def test_limit_that_cannot_be_asked_for_is_not_guessed(
        self, wire: Wire, place: RedisServer, namespace: str
    ) -> None:
        value = "x" * 2 * MIB
        url = wire.url(place.url)
        async with RedisStateStore(url, namespace, timeout=0.3) as store:
            place.pause()
            try:
                with pytest.raises(StateWriteError) as info:
                    await store.set("key", value)
            finally:
                place.resume()
            assert info.value.key == "key"
            assert store._max_value_size is None
            with anyio.fail_after(PATIENCE_S):
                while True:
                    with suppress(StateWriteError):
                        await store.set("key", value)
                        break
            assert store._max_value_size == redis_states.MAX_VALUE_SIZE

    # What is shown.

    async def test_options_do_not_show_the_password(self) -> None:
        store = RedisStateStore("redis://me:hunter2@db")
        assert "hunter2" not in repr(store._options) + repr(vars(store))
