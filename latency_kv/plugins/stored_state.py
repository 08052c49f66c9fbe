"""StoredPluginState: a plugin's values as entries of a store that all plugins share.

    "plugin-state:"  "clock" 00  "seats/12A" 00  ->  the value's bytes
     prefix           plugin      key

One snapshot of the store then holds every plugin's state.  A packed plugin name ends
with a byte that it holds nowhere else, so no name's keys start with another name's,
whatever characters either has: the plugins are apart by their bytes, not by a check.

Knows the store and the codec, and nothing of plugins but their names.  Start at
`StoredPluginState`.
"""

from __future__ import annotations

from reprlib import repr as shorten
from typing import Any

from latency_kv.core.store import InMemoryStore
from latency_kv.errors import StateDecodeError
from latency_kv.typed.codecs import Codec, MsgpackCodec
from latency_kv.typed.keys import KeyLayout

__all__ = ["PLUGIN_KEYS", "StoredPluginState"]

PLUGIN_KEYS = KeyLayout(b"plugin-state:", "str", "str")
"""Where a plugin's values are: (plugin name, key).

Whoever else keeps entries in the store gives them keys that start otherwise.
"""

# The rest of such a key, behind the plugin's part, which does not change.
_REST = KeyLayout(b"", "str")


class StoredPluginState:
    """One plugin's values within an InMemoryStore, encoded by a codec.

        get(key, default=None)   the value, or the default
        set(key, value)          over an older one
        delete(key)              whether there was one
        has(key)                 whatever its value, which is not decoded
        keys()                   all of the plugin's keys, in order
        clear()                  remove all of the plugin's values

    A value is whatever the codec encodes, and comes back as the codec makes it from its
    bytes, a new one each time: with MsgpackCodec a tuple as a list, for one.  What was
    handed over may be changed afterwards without changing what is stored.

    Keys are str, and anything else raises TypeError.  One that no entry can have, with
    a lone surrogate or too long, is refused by `set` alone: it is never there.

    Nothing is kept outside the store, so what `store.restore` brings back is what the
    plugin reads next, and two states of one name are one.

    >>> store = InMemoryStore()
    >>> state = StoredPluginState(store, "clock")
    >>> state.set("alarms", [7, 8])
    >>> before = store.snapshot()
    >>> state.delete("alarms"), state.get("alarms", [])
    (True, [])
    >>> store.restore(before)
    >>> state.get("alarms")
    [7, 8]
    """

    __slots__ = ("_decode", "_encode", "_plugin_name", "_prefix", "codec", "store")

    def __init__(
        self, store: InMemoryStore, plugin_name: str, codec: Codec | None = None
    ) -> None:
        if not isinstance(plugin_name, str):
            raise TypeError(
                f"a plugin's name is a str, not {type(plugin_name).__name__}"
            )
        if not plugin_name:
            raise ValueError("a plugin's name is not empty")
        plugin_name = str.__str__(plugin_name)
        try:
            self._prefix = PLUGIN_KEYS.prefix(plugin_name)
        except UnicodeEncodeError as error:
            raise ValueError(
                f"plugin name {shorten(plugin_name)} has no UTF-8: {error.reason}"
            ) from error
        self.store = store
        self._plugin_name = plugin_name
        self.codec: Codec = MsgpackCodec() if codec is None else codec
        self._encode = self.codec.encode
        self._decode = self.codec.decoder(Any)

    @property
    def plugin_name(self) -> str:
        """Whose values these are, for as long as there is this state."""
        return self._plugin_name

    def __repr__(self) -> str:
        return f"StoredPluginState({self.store!r}, {self.plugin_name!r})"

    def get(self, key: str, default: Any = None, /) -> Any:
        """Return the value, or the default.

        Raises StateDecodeError for bytes that the codec does not read; they stay.
        """
        packed = self._packed(key)
        if packed is None:
            return default
        data = self.store.get(packed)
        if data is None:
            return default
        try:
            return self._decode(data)
        except MemoryError:
            raise
        except Exception as error:
            raise StateDecodeError(
                packed,
                f"plugin {shorten(self.plugin_name)}: the value does not decode: "
                f"{error}",
            ) from error

    def set(self, key: str, value: Any, /) -> None:
        """Encode the value and store it, over an older one.

        Raises TypeError for a value of a type that the codec does not know, ValueError
        for any other that it refuses and for a key that no entry can have; nothing has
        changed then.
        """
        packed = self._packed(key)
        try:
            if packed is None:
                raise ValueError("half of a surrogate pair has no UTF-8")
            self.store.put(packed, self._encode(value))
        except MemoryError:
            raise
        except Exception as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(
                f"plugin {shorten(self.plugin_name)} cannot set {shorten(key)}: {error}"
            ) from error

    def delete(self, key: str, /) -> bool:
        """Delete the value; return whether there was one."""
        packed = self._packed(key)
        return packed is not None and self.store.delete(packed)

    def has(self, key: str, /) -> bool:
        """Tell whether the key is there, whatever its value."""
        packed = self._packed(key)
        return packed is not None and self.store.contains(packed)

    def keys(self) -> list[str]:
        """List the plugin's keys by code point.

        Like every ordered access this builds the store's index, if it has none yet.
        """
        scan = self.store.prefix_keys(self._prefix)
        return [PLUGIN_KEYS.unpack(packed)[1] for packed in scan]

    def clear(self) -> int:
        """Delete all of the plugin's values, in one step; return how many there were.

        For a plugin that is uninstalled.  Builds the index as `keys` does.
        """
        return self.store.delete_prefix(self._prefix)

    def _packed(self, key: str) -> bytes | None:
        """The key's bytes, None if it has none."""
        if type(key) is not str:
            key = _text_of(key)
        try:
            return self._prefix + _REST.pack(key)
        except UnicodeEncodeError:
            return None


def _text_of(key: object) -> str:
    """The text of a key that is not exactly a str, whatever its class makes of it."""
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    return str.__str__(key)
