"""Places: the line, its order, its end, and who leaves it. Start at the first test."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from latency_kv.providers.places import Places

pytestmark = pytest.mark.anyio

# Nobody waits for so long here.
PATIENCE_S = 5.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def taken() -> AsyncIterator[Places]:
    """Places that are all taken: two."""
    places = Places(2, PATIENCE_S)
    await places.take()
    await places.take()
    yield places
    # Whatever happened, there are two.
    places.leave()
    places.leave()
    assert places._free_count == 2 and not places._line and places._timer is None


async def turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_comes_first_is_served_first(taken: Places) -> None:
    served: list[int] = []

    async def wait(number: int) -> None:
        await taken.take()
        served.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(4):
            tasks.create_task(wait(number))
        for count in range(4):
            await turns()
            assert served == [*range(count)]
            taken.leave()


async def test_who_is_cancelled_leaves_the_line(taken: Places) -> None:
    first, second = (asyncio.create_task(taken.take()) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    taken.leave()
    await second
    assert first.cancelled()


async def test_place_that_comes_with_the_cancellation_is_the_next_ones(
    taken: Places,
) -> None:
    first, second = (asyncio.create_task(taken.take()) for _ in range(2))
    await turns()
    taken.leave()
    first.cancel()
    await asyncio.wait([first, second])
    assert first.cancelled() and second.exception() is None


async def test_who_waits_too_long_is_told() -> None:
    places = Places(1, 0.05)
    await places.take()
    late = [asyncio.create_task(places.take()) for _ in range(3)]
    await turns()
    late[1].cancel()
    await asyncio.wait(late)
    assert isinstance(late[0].exception(), TimeoutError)
    assert isinstance(late[2].exception(), TimeoutError)
    early = asyncio.create_task(places.take())
    await asyncio.sleep(0.03)
    later = asyncio.create_task(places.take())
    done, _ = await asyncio.wait([early, later], timeout=PATIENCE_S)
    assert [type(each.exception()) for each in done] == [TimeoutError] * 2


async def test_who_came_later_waits_on() -> None:
    places = Places(1, 0.5)
    await places.take()
    first = asyncio.create_task(places.take())
    await turns()
    # As if it had come much earlier.
    _, turn = places._line.popleft()
    places._line.append((0.0, turn))
    second = asyncio.create_task(places.take())
    await turns()
    places._turn_away()
    with pytest.raises(TimeoutError):
        await first
    await turns()
    assert not second.done()
    places.leave()
    await second
    places.leave()
