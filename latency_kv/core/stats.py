"""StoreStats: what a store is made of, in numbers, for its operator's dashboards."""

from typing import Literal, NamedTuple


class StoreStats(NamedTuple):
    """Counts and sizes of a store at one moment; sizes in bytes."""

    entries: int
    size_bytes: int  # of all keys and values
    memory_bytes: int  # of entries, pages and index, shared parts included
    pages: int
    segments: int
    page_fill: float  # entries for each slot that a page may use
    splits: int  # of pages, since the store began
    copies: int  # pages, segments and nodes copied because a holder could see them
    hash: Literal["fast", "strong"]  # strong after crafted keys were met
    indexed: bool  # whether the sorted index has been built
    index_height: int
    index_bytes: int
    index_pending: int  # changes that the next ordered access merges
    index_merges: int
    index_builds: int
    holders: int  # snapshots and copies that share with the store
    open_scans: int
