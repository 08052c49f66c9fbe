"""Rules: what the contracts of several facets demand alike.

    refused          an error of the facets' own, of the right code
    check_record     a record of the facet's own, that nobody can change
    check_pages      limit, offset, total and has_more, by turning every page

Knows no facet but the records of paging.  Start at `check_pages`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any

import pytest

from latency_kv.errors import FacetError, FacetErrorCode
from latency_kv.facets.paging import PaginatedResult

__all__ = ["check_pages", "check_record", "refused"]


@contextmanager
def refused(code: FacetErrorCode) -> Iterator[None]:
    """Demand that the block raises a FacetError of this code."""
    with pytest.raises(FacetError) as caught:
        yield
    assert caught.value.code == code


def check_record(record: Any, kind: type[Any]) -> None:
    """Demand a record of the facet's own: tuples for lists, times that have a zone."""
    assert isinstance(record, kind)
    for field in fields(kind):
        value = getattr(record, field.name)
        assert not isinstance(value, (list, set)), f"{field.name} is no tuple"
        if isinstance(value, datetime):
            assert value.utcoffset() is not None, f"{field.name} has no time zone"


async def check_pages(
    turn: Callable[[int | None, int], Awaitable[PaginatedResult[Any]]], count: int
) -> None:
    """Demand that `turn(limit, offset)` gives the pages of a list of count items.

    The list must not change meanwhile.
    """
    whole = (await turn(None, 0)).items
    assert len(whole) == count
    limits = [None, 0, 1, 2, count, count + 1]
    for limit in limits:
        for offset in range(count + 2):
            page = await turn(limit, offset)
            stop = count if limit is None else offset + limit
            check_record(page, PaginatedResult)
            assert page.items == whole[offset:stop], (limit, offset)
            assert page.total == count, (limit, offset)
            assert page.has_more == (stop < count), (limit, offset)
    for limit, offset in [(-1, 0), (None, -1), (1, -1)]:
        with refused("VALIDATION"):
            await turn(limit, offset)
