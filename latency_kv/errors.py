"""The one exception tree: what the package raises beyond Python's own exceptions.

Each class also inherits the builtin that a reader expects, so that `except ValueError`
goes on working, and carries as attributes what its message tells.  Knows no room of the
package: every floor raises from here.  Start at `LatencyKVError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "AmbiguousFacetError",
    "CircularDependencyError",
    "DuplicatePluginError",
    "DurabilityError",
    "FacetError",
    "FacetErrorCode",
    "FacetNotFoundError",
    "InvalidationLoopError",
    "JsonValueError",
    "LatencyKVError",
    "LockTimeoutError",
    "MissingDependencyError",
    "MissingTagError",
    "OutcomeUnknownError",
    "PluginError",
    "PluginHookError",
    "PluginInUseError",
    "PluginManifestError",
    "SnapshotCorruptError",
    "SnapshotError",
    "SnapshotVersionError",
    "StateDecodeError",
    "StateError",
    "StateFormatError",
    "StateMigrationError",
    "StateParseError",
    "StateReadError",
    "StateValidationError",
    "StateWriteError",
]

# Keys may have 65,535 bytes: a message shows as many as tell one key from another.
_SHOWN_KEY_SIZE = 64

FacetErrorCode: TypeAlias = Literal[
    "NOT_FOUND", "VALIDATION", "AUTH", "CONFLICT", "TIMEOUT", "CANCELLED", "UNKNOWN"
]
"""What a provider's failure means to a consumer, whatever engine is behind it.

NOT_FOUND: what was asked for is not there.  VALIDATION: the request cannot be right.
AUTH: the provider may not do this.  CONFLICT: it clashes with what is there already.
TIMEOUT, CANCELLED: it was given up, by the clock or by someone.  UNKNOWN: anything else.
"""


class LatencyKVError(Exception):
    """What every exception of the package's own inherits."""


class StateDecodeError(LatencyKVError, ValueError):
    """Stored bytes that do not decode as what was asked for.

    Nothing was changed or reset; the codec's own exception is `__cause__`.

    >>> str(StateDecodeError(b"seat:12A", "the value is not an int"))
    "the value is not an int (key b'seat:12A')"
    """

    def __init__(self, key: bytes, reason: str) -> None:
        super().__init__(key, reason)
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        shown = repr(self.key[:_SHOWN_KEY_SIZE])
        if len(self.key) > _SHOWN_KEY_SIZE:
            shown += f"... of {len(self.key)} bytes"
        return f"{self.reason} (key {shown})"


class JsonValueError(LatencyKVError, ValueError):
    """A value that JSON has no word for, or bytes that are no JSON value.

    The reason begins with the place: what is wrong may be deep within.

    >>> str(JsonValueError("value['a'][2]: JSON has no nan"))
    "value['a'][2]: JSON has no nan"
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DurabilityError(LatencyKVError, OSError):
    """A file is in its place, and the system did not confirm that it will stay there.

    What was written can be read.  Whether it survives a power cut is unknown; the
    system's own error is `__cause__`.  Writing again is safe.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"{self.path}: the file is in place, but its folder could not be synced, "
            "so it may be lost in a power cut: write it again"
        )


class LockTimeoutError(LatencyKVError, TimeoutError):
    """Another writer held a folder's lock for longer than this one would wait.

    Nothing was written.  timeout is in seconds.
    """

    def __init__(self, path: str, timeout: float) -> None:
        # Not handed up: OSError would take them for a number and its text.
        super().__init__()
        self.args = path, timeout
        self.path = path
        self.timeout = timeout

    def __str__(self) -> str:
        return (
            f"{self.path}: another writer held this lock for {self.timeout:g} s; if its "
            f"writes take that long, wait longer, else see who it is with "
            f"`fuser -v {self.path}`"
        )


class SnapshotError(LatencyKVError):
    """A snapshot image that cannot be read."""


class SnapshotCorruptError(SnapshotError, ValueError):
    """Bytes that are no snapshot image, or not a whole one any more.

    Nothing was changed.  `path` is the file that they are from, None for a buffer.

    >>> from pathlib import Path
    >>> str(SnapshotCorruptError("the checksum does not match", Path("a.lkv")))
    'a.lkv: the checksum does not match'
    """

    def __init__(self, reason: str, path: Path | None = None) -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        return self.reason if self.path is None else f"{self.path}: {self.reason}"


class SnapshotVersionError(SnapshotError, ValueError):
    """An image in a format that this release does not know; nothing was changed.

    >>> str(SnapshotVersionError(7))
    'the image has format version 7, flags 0x0: read it with a newer release'
    """

    def __init__(self, version: int, flags: int = 0, path: Path | None = None) -> None:
        super().__init__(version, flags, path)
        self.version = version
        self.flags = flags
        self.path = path

    def __str__(self) -> str:
        where = "the image" if self.path is None else f"{self.path}: the image"
        return (
            f"{where} has format version {self.version}, flags {self.flags:#x}: "
            "read it with a newer release"
        )


class StateError(LatencyKVError):
    """An operation on a document or a stored value that failed; what did is `__cause__`.

    plugin_name is whose document it is about, and path the file; key is whose value, and
    store the URL of what keeps it, without credentials.  What does not apply is None.

    >>> from pathlib import Path
    >>> str(StateError("clock", "it cannot be read", Path("clock.json")))
    "plugin 'clock': it cannot be read (clock.json)"
    >>> str(StateError(None, "it is full", key="a", store="redis://db/?namespace=n"))
    "key 'a' of redis://db/?namespace=n: it is full"
    """

    def __init__(
        self,
        plugin_name: str | None,
        reason: str,
        path: Path | None = None,
        *,
        key: str | None = None,
        store: str | None = None,
    ) -> None:
        # Not handed up: OSError would take them for a number and its text.
        super().__init__()
        self.args = plugin_name, reason, path
        self.plugin_name = plugin_name
        self.reason = reason
        self.path = path
        # Not in args: what is pickled has them from the instance's dict.
        self.key = key
        self.store = store

    def __reduce__(self) -> tuple[Any, ...]:
        state = dict(vars(self))
        # An OSError's number is not in its dict.
        number = getattr(self, "errno", None)
        if number is not None:
            state["errno"] = number
        return type(self), self.args, state

    def __str__(self) -> str:
        whose = [] if self.plugin_name is None else [f"plugin {self.plugin_name!r}"]
        if self.key is not None:
            key = repr(self.key[:_SHOWN_KEY_SIZE])
            if len(self.key) > _SHOWN_KEY_SIZE:
                key += f"... of {len(self.key)} characters"
            whose.append(f"key {key}")
        if self.store is not None:
            whose.append(self.store)
        where = "" if self.path is None else f" ({self.path})"
        return f"{' of '.join(whose)}{': ' if whose else ''}{self.reason}{where}"


class StateReadError(StateError, OSError):
    """What is not there, or cannot be read: a document, a backup, a store's values.

    errno is the system's, None where it has none.
    """


class StateWriteError(StateError, OSError):
    """A change that was not made: the document or the value before it stands.

    errno is the system's, such as ENOSPC, None where it has none.
    """


class OutcomeUnknownError(StateError, OSError):
    """A change that nobody can say was made, or will last.

    That of a document was made, may be lost in a power cut, and is safe to make again.
    One that was on its way to a server may have been applied, once: read before making
    again what is not the same when made twice.
    """


class StateParseError(StateError, ValueError):
    """A file or a stored value that is not what was written, or not a whole one any more.

    text is what is in it, with bytes that are no UTF-8 escaped.  Nothing was changed.
    """

    def __init__(
        self,
        plugin_name: str | None,
        reason: str,
        path: Path | None = None,
        text: str = "",
        *,
        key: str | None = None,
        store: str | None = None,
    ) -> None:
        super().__init__(plugin_name, reason, path, key=key, store=store)
        self.args = plugin_name, reason, path, text
        self.text = text


class StateFormatError(StateParseError):
    """A document in a format that this release does not know.

    It is not damaged: nothing overwrites it, sets it aside or goes around it.
    """


class StateValidationError(StateError, ValueError):
    """A validator that raised instead of answering."""


class StateMigrationError(StateError, RuntimeError):
    """A migration that is missing or failed; the document is as it was."""


class FacetError(LatencyKVError):
    """A facet's provider that cannot do what it was asked; code says why, in one word.

    cause is the engine's own exception; it becomes `__cause__`.

    >>> error = FacetError("there is no issue 7", "NOT_FOUND")
    >>> error.code, str(error)
    ('NOT_FOUND', 'there is no issue 7')
    """

    def __init__(
        self,
        message: str,
        code: FacetErrorCode = "UNKNOWN",
        cause: BaseException | None = None,
    ) -> None:
        codes = get_args(FacetErrorCode)
        if code not in codes:
            raise ValueError(f"code {code!r} is none of {', '.join(codes)}")
        super().__init__(message, code)
        self.message = message
        self.code = code
        if cause is not None:
            self.__cause__ = cause

    def __str__(self) -> str:
        return self.message


class FacetNotFoundError(FacetError, LookupError):
    """A facet that nobody provides, or nobody with this qualifier.

    >>> str(FacetNotFoundError("Logger", "audit"))
    'No provider found for facet "Logger" with qualifier "audit"'
    """

    def __init__(self, facet: str, qualifier: str | None = None) -> None:
        with_qualifier = "" if qualifier is None else f' with qualifier "{qualifier}"'
        super().__init__(
            f'No provider found for facet "{facet}"{with_qualifier}', "NOT_FOUND"
        )
        self.args = facet, qualifier
        self.facet = facet
        self.qualifier = qualifier


class AmbiguousFacetError(FacetError, LookupError):
    """A facet that several provide, where nobody may choose for the consumer.

    candidates are the providers' qualifiers.

    >>> print(AmbiguousFacetError("Logger", ["a", "b"]))
    Multiple providers for facet "Logger": a, b. Specify a qualifier or configure \
explicit binding.
    """

    def __init__(self, facet: str, candidates: Sequence[str]) -> None:
        super().__init__(
            f'Multiple providers for facet "{facet}": {", ".join(candidates)}. '
            "Specify a qualifier or configure explicit binding.",
            "CONFLICT",
        )
        self.args = facet, candidates
        self.facet = facet
        self.candidates = tuple(candidates)


class CircularDependencyError(FacetError, ValueError):
    """Plugins, or atoms, that wait for one another; path starts and ends with the same.

    >>> str(CircularDependencyError(["A", "B", "A"]))
    'Circular dependency detected: A -> B -> A'
    """

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(
            f"Circular dependency detected: {' -> '.join(path)}", "VALIDATION"
        )
        self.args = (path,)
        self.path = tuple(path)


class PluginError(LatencyKVError):
    """What a host cannot do with a plugin; plugin_name is its manifest's id.

    >>> str(PluginError("clock", "it is not loaded"))
    "plugin 'clock': it is not loaded"
    """

    def __init__(self, plugin_name: str, reason: str) -> None:
        super().__init__(plugin_name, reason)
        self.plugin_name = plugin_name
        self.reason = reason

    def __str__(self) -> str:
        return f"plugin {self.plugin_name!r}: {self.reason}"


class PluginManifestError(PluginError, ValueError):
    """A manifest that nothing can be bound by; problems are all that is wrong with it."""

    def __init__(self, plugin_name: str, problems: Sequence[str]) -> None:
        super().__init__(plugin_name, "; ".join(problems))
        self.args = plugin_name, problems
        self.problems = tuple(problems)


class DuplicatePluginError(PluginError, ValueError):
    """A second plugin of the same id; the first stays registered."""

    def __init__(self, plugin_name: str) -> None:
        super().__init__(plugin_name, "a plugin of this id is registered already")
        self.args = (plugin_name,)


class MissingDependencyError(PluginError, LookupError):
    """A plugin that cannot be loaded, since a facet that it requires is not there.

    `__cause__` is the facet's own error, or that of the plugin that should provide it.
    """

    def __init__(
        self, plugin_name: str, reason: str, facet: str, qualifier: str | None = None
    ) -> None:
        super().__init__(plugin_name, reason)
        self.args = plugin_name, reason, facet, qualifier
        self.facet = facet
        self.qualifier = qualifier


class PluginInUseError(PluginError, RuntimeError):
    """A plugin that stays loaded, since others that are loaded depend on it."""

    def __init__(self, plugin_name: str, dependants: Sequence[str]) -> None:
        super().__init__(
            plugin_name,
            f"loaded plugins depend on it, unload them first: {', '.join(dependants)}",
        )
        self.args = plugin_name, dependants
        self.dependants = tuple(dependants)


class PluginHookError(PluginError, RuntimeError):
    """A plugin whose `activate` or `deactivate` raised; what it raised is `__cause__`.

    After a failed activation the plugin is not loaded, and nothing that it provided is
    left; after a failed deactivation it is unloaded all the same.
    """

    def __init__(
        self, plugin_name: str, hook: Literal["activate", "deactivate"]
    ) -> None:
        super().__init__(plugin_name, f"its {hook} raised")
        self.args = plugin_name, hook
        self.hook = hook


class MissingTagError(LatencyKVError, LookupError):
    """A tag that nothing is stored under, asked for where there is no default either.

    >>> str(MissingTagError("retries"))
    "tag 'retries' has neither a value nor a default: pass one, or give the tag one"
    """

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.label = label

    def __str__(self) -> str:
        return (
            f"tag {self.label!r} has neither a value nor a default: pass one, or give "
            "the tag one"
        )


class InvalidationLoopError(LatencyKVError, RuntimeError):
    """Atoms whose factories invalidate one another for ever; their values stand.

    >>> str(InvalidationLoopError(["a", "b", "a"]))
    'Infinite invalidation loop detected: a -> b -> a'
    """

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(path)
        self.path = tuple(path)

    def __str__(self) -> str:
        return f"Infinite invalidation loop detected: {' -> '.join(self.path)}"
