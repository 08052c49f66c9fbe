"""Redis checks: a look past the store into the server.

Knows the layout of the entries. Start at `check_index`.
"""

from collections.abc import Sequence

from servers import RedisServer

SHOWN = 5


def raw(node: RedisServer, *command: str) -> list[str]:
    """The lines of an answer that has no line breaks within."""
    return node.cli(*command).splitlines()


def members(node: RedisServer, namespace: str) -> set[tuple[str, str]]:
    """The (bucket, key) that the indexes of a namespace have."""
    found = set()
    for pattern in (f"{namespace}:i", f"{namespace}{{*}}:i"):
        for name in raw(node, "--scan", "--pattern", pattern):
            bucket = name.removesuffix(":i")
            found |= {(bucket, key) for key in raw(node, "zrange", name, "0", "-1")}
    return found


def values(node: RedisServer, namespace: str) -> set[tuple[str, str]]:
    """The (bucket, key) that have values, those that are over and not gone yet too."""
    found = set()
    for pattern in (f"{namespace}:d:*", f"{namespace}{{*}}:d:*"):
        for name in raw(node, "--scan", "--pattern", pattern):
            bucket, _, key = name.partition(":d:")
            found.add((bucket, key))
    return found


def check_index(nodes: Sequence[RedisServer], namespace: str) -> int:
    """Compare the values of all masters with their indexes, and count them.

    Nobody may write.
    """
    there: set[tuple[str, str]] = set()
    for node in nodes:
        own, listed = values(node, namespace), members(node, namespace)
        assert own == listed, sorted(own ^ listed)[:SHOWN]
        assert not there & own, "an entry is on two nodes"
        there |= own
    return len(there)


def connection_count(node: RedisServer) -> int:
    """How many clients there are, besides the one that asks."""
    return len(raw(node, "client", "list")) - 1
