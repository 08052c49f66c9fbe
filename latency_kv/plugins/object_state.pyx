"""ObjectPluginState: a plugin's values by reference, gone when the plugin is unloaded.

    state ---> dict ---> str keys, the values themselves

Compiled, so that a read costs little more than one of the dict.  Knows no bytes and no
codec: values that outlive the process are stored_state's.  Start at
`ObjectPluginState.get`.

Invariants
    1. Every key in the dict is exactly a str, so no lookup runs code of a caller's.
    2. `values` is a dict from the first moment to the last.
"""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from cpython.unicode cimport (
    PyUnicode_Check, PyUnicode_CheckExact, PyUnicode_FromObject,
)

cdef object MISSING = object()


cdef object text_of(object key):
    """The text of a key that is not exactly a str, such as a StrEnum's member."""
    if not PyUnicode_Check(key):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    return PyUnicode_FromObject(key)


# The docstring opens with what inspect.signature reads: Cython writes that for methods.
# The dict takes a circle apart; with a tp_clear of its own, a state would be left with
# None for its values while finalizers can still reach it.
@cython.final
@cython.no_gc_clear
cdef class ObjectPluginState:
    """ObjectPluginState()\n--\n\nOne plugin's values, the very objects handed over.

        get(key, default=None)   the value, or the default      O(1)
        set(key, value)          over an older one
        delete(key)              whether there was one
        has(key)                 whatever its value

    Keys are str, and anything else raises TypeError, also where it is only asked for.
    None is a value.  Under the GIL every call is atomic.

    A state is neither copied nor pickled, since nobody can say which of the two the
    values then belong to.  It has no subclasses: a host that wants limits or a log puts
    a class of its own around it, as PluginStateStore asks for four methods and for no
    ancestor.

    >>> state = ObjectPluginState()
    >>> connection = object()
    >>> state.set("connection", connection)
    >>> state.get("connection") is connection
    True
    >>> state.delete("connection"), state.has("connection")
    (True, False)
    """

    cdef dict values
    cdef object __weakref__

    def __cinit__(self):
        self.values = {}

    # Refuses arguments, which __cinit__ alone would let pass.
    def __init__(self):
        pass

    def get(self, key, default=None, /):
        """Return the value, or the default."""
        cdef PyObject* value
        if not PyUnicode_CheckExact(key):
            key = text_of(key)
        value = PyDict_GetItemWithError(self.values, key)
        return default if value == NULL else <object>value

    def set(self, key, value, /):
        """Keep the value, over an older one."""
        if not PyUnicode_CheckExact(key):
            key = text_of(key)
        self.values[key] = value

    def delete(self, key, /):
        """Let go of the value; return whether there was one."""
        if not PyUnicode_CheckExact(key):
            key = text_of(key)
        return self.values.pop(key, MISSING) is not MISSING

    def has(self, key, /):
        """Tell whether the key is there, whatever its value."""
        if not PyUnicode_CheckExact(key):
            key = text_of(key)
        return key in self.values

    def __repr__(self):
        return f"<ObjectPluginState of {len(self.values):,} entries>"

    def __reduce_ex__(self, protocol):
        raise TypeError(
            "an ObjectPluginState is neither copied nor pickled, since it keeps the "
            "plugin's own objects: keep what has to travel in a StoredPluginState"
        )
