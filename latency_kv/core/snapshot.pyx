"""StateSnapshot: a store as it was at one moment, frozen, readable, and portable.

It holds the directory and the index of its moment, and the store copies what it goes
on to write; or it holds an image, and searches that where it lies.  Reads are
ByteReader's.
Start with `StateSnapshot.encode_now`, then `_snapshot_in`.
"""

import _thread
import collections.abc
import datetime
import time

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.mem cimport PyMem_RawFree
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from latency_kv.core.bulk cimport Cell, index_build, index_gather
from latency_kv.core.cursor cimport Cursor, cursor_enter_image
from latency_kv.core.image cimport (
    BAD_OFFSETS, BAD_PADDING, CHECKSUM_AT, DAMAGED, FORMAT_VERSION, HEADER_SIZE,
    LONG_KEY, LONG_VALUE, MISPLACED, NO_IMAGE, OTHER_SIZE, OTHER_VERSION, SIZE_AT,
    SOUND, STAMP_AT, TOO_SHORT, UNORDERED, VERSION_AT, Fault, Image, image_checksum,
    image_place, image_read_header, image_verify, image_word,
    image_write_checksum, image_write_header,
)
from latency_kv.core.machine cimport give_back
from latency_kv.core.reader cimport ByteReader, reader_get, wake_sweeper
from latency_kv.core.span cimport counted, span_bytes
from latency_kv.core.table cimport Status, Table
from latency_kv.core.transfer cimport (
    Encoder, encoder_close, encoder_open, encoder_run, encoder_sort,
)

from latency_kv.core.columns import arrow_table, columns_of
from latency_kv.core.files import map_file, read_file
from latency_kv.errors import SnapshotCorruptError, SnapshotVersionError

cdef extern from "Python.h":
    Py_buffer* PyMemoryView_GET_BUFFER(object view) noexcept
    Py_ssize_t Py_REFCNT(object of) noexcept

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() noexcept nogil

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

cdef enum:
    # Entries between two calls of a progress callback: some milliseconds' work.
    PROGRESS_STEP = 65536
    # Bytes of an image from which on freeing it holds others up: what is smaller,
    # malloc keeps for the next one (glibc's threshold rises to 32 MiB).
    GIVEN_BACK_MIN = 33 << 20

# Of what the number of an entry, or no number, tells enough.
cdef dict FAULTS = {
    NO_IMAGE: "it does not begin as a snapshot image does",
    MISPLACED: "its sections do not lie where the header's sizes put them",
    BAD_PADDING: "there is something between its sections",
    BAD_OFFSETS: "the offsets of entry {:,} do not ascend within their section",
    LONG_KEY: "the key of entry {:,} is longer than any key may be",
    LONG_VALUE: "the value of entry {:,} is longer than any value may be",
    UNORDERED: "the key of entry {:,} is not above the one before",
}


@cython.final
@cython.no_gc     # bytes, a mapped file and a lock close no cycle
@cython.collection_type("mapping")
cdef class StateSnapshot(ByteReader):
    """A store's entries as they were when `InMemoryStore.snapshot` was called.

    Taking one costs the same for any size, and reads need no lock against the writers
    of the store.  Its image is one run of bytes that any program can read
    (docs/snapshot-format.md); a snapshot made from an image is searched where it lies.
    A snapshot pickles by way of its image, and exports it by the buffer protocol.

    by key      `get` and ByteReader's reads: O(1), in an image O(log n)
    in order    ByteReader's scans
    itself      `timestamp_ns`, `created_at`, `version`
    out         `to_bytes`, `save`, `columns`, `to_arrow`, `memoryview(snapshot)`
    in          `from_bytes`, `open`; `InMemoryStore.restore` takes either kind

    >>> from latency_kv import InMemoryStore
    >>> store = InMemoryStore({b"a": b"1"})
    >>> moment = store.snapshot()
    >>> store.put(b"a", b"2")
    >>> moment.get(b"a"), store.get(b"a")
    (b'1', b'2')
    >>> StateSnapshot.from_bytes(moment.to_bytes()) == moment
    True
    """

    def __init__(self, *args, **kwargs):
        raise TypeError(
            "a StateSnapshot is made by InMemoryStore.snapshot(), or from an image by "
            "StateSnapshot.from_bytes() or StateSnapshot.open()"
        )

    def __del__(self):
        # Freeing a large image takes 40 ms a GB, with the GIL: nearly all of it goes
        # here, without.  Whoever brings the snapshot back meanwhile has it encode anew.
        cdef bytes encoded = self.encoded
        cdef Py_ssize_t size
        cdef char* data
        self.encoded = None
        if encoded is not None and Py_REFCNT(encoded) == 1:
            data = PyBytes_AS_STRING(encoded)
            size = PyBytes_GET_SIZE(encoded)
            if size >= GIVEN_BACK_MIN:
                with nogil:
                    give_back(data, size)

    def get(self, key, default=None):
        """Return the value of key as bytes, or default.  O(1); in an image O(log n)."""
        return reader_get(self, key, default)

    @property
    def created_at(self):
        """The moment of the snapshot, in UTC, to the microsecond."""
        return _EPOCH + datetime.timedelta(microseconds=self.timestamp_ns // 1000)

    @property
    def version(self):
        """The version of the snapshot format, 1."""
        return FORMAT_VERSION

    cdef int order(self) except -1:
        """Build the index of a snapshot whose store had none; sorts without the GIL."""
        cdef Cell* cells
        cdef Status status
        if self.table.index.built:
            return 0
        with nogil:
            cells = index_gather(&self.table)
        if cells == NULL:
            raise MemoryError("no memory to build the index of a snapshot")
        if self.table.index.built:
            # Another thread was faster.
            PyMem_RawFree(cells)
            return 0
        status = index_build(&self.table, cells)
        PyMem_RawFree(cells)
        if status:
            raise MemoryError("no memory to build the index of a snapshot")
        return 0

    cdef int open_range(
        self, Cursor* cursor, const char* start, Py_ssize_t start_size,
        const char* stop, Py_ssize_t stop_size, bint reverse=False,
    ) except -1:
        ByteReader.open_range(self, cursor, start, start_size, stop, stop_size, reverse)
        if self.image.count:
            cursor_enter_image(
                cursor, &self.image, <PyObject*>self.memory,
                start, start_size, stop, stop_size,
            )
        return 0

    cdef bytes encode(self, object progress):
        """The image of a snapshot of a store; made once, whoever asks."""
        cdef unsigned long me = PyThread_get_thread_ident()
        if self.encoded is not None:
            return self.encoded
        if self.lock is None:
            try:
                lock = _thread.allocate_lock()
            except RuntimeError:
                raise MemoryError("no memory for the lock of a snapshot") from None
            if self.lock is None:
                self.lock = lock
        if self.encoder == me:
            raise RuntimeError(
                "this snapshot is being encoded, and what was called meanwhile asks "
                "for its image: ask when it is done"
            )
        # No with: Cython 3.3's crashes when memory ends before there is a traceback.
        self.lock.acquire()
        try:
            if self.encoded is None:
                self.encoder = me
                self.encoded = self.encode_now(progress)
        finally:
            self.encoder = 0
            self.lock.release()
        return self.encoded

    cdef bytes encode_now(self, object progress):
        cdef Table* table = &self.table
        cdef Image image
        cdef Encoder encoder
        cdef Status status
        cdef bytes encoded
        cdef char* data
        image_place(
            &image, NULL, table.entry_count, table.key_bytes, table.value_bytes
        )
        encoded = PyBytes_FromStringAndSize(NULL, image.size)
        data = PyBytes_AS_STRING(encoded)
        image_place(
            &image, data, table.entry_count, table.key_bytes, table.value_bytes
        )
        status = encoder_open(&encoder, table, &image, data)
        try:
            if not status:
                with nogil:
                    status = encoder_sort(&encoder, table)
            if status:
                raise MemoryError("no memory to put a snapshot's entries in order")
            if progress is not None:
                while encoder.done + PROGRESS_STEP < encoder.count:
                    with nogil:
                        encoder_run(&encoder, encoder.done + PROGRESS_STEP)
                    progress(encoder.done, encoder.count)
            with nogil:
                encoder_run(&encoder, encoder.count)
                image_write_header(&image, data, <uint64_t>self.timestamp_ns)
                image_write_checksum(&image, data)
            if progress is not None:
                progress(encoder.done, encoder.count)
        finally:
            encoder_close(&encoder)
            wake_sweeper()
        return encoded

    def to_bytes(self, *, progress=None):
        """Return the snapshot's image, encoding it at the first request.

        O(n), without the GIL; a store without an index is sorted for it.  progress is
        called with the entries done and all entries, now and then; what it raises comes
        out, and nothing is kept.  Other threads that ask wait.
        """
        if self.image.data == NULL:
            return self.encode(progress)
        if PyBytes_CheckExact(self.memory):
            return self.memory
        return self.image.data[:self.image.size]

    def __getbuffer__(self, Py_buffer* view, int flags):
        cdef bytes encoded
        if self.image.data != NULL:
            PyBuffer_FillInfo(
                view, self, <void*>self.image.data, self.image.size, True, flags
            )
            return
        encoded = self.encode(None)
        PyBuffer_FillInfo(
            view, encoded, PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded), True,
            flags,
        )

    @staticmethod
    def from_bytes(source):
        """Return a snapshot that reads an image.

        bytes are kept, any other buffer is copied.  Everything is checked first, in
        O(n): raises SnapshotCorruptError for what is no sound image, and
        SnapshotVersionError for one of a newer format.
        """
        return _snapshot_in(span_bytes(source, "snapshot image"), None)

    def save(self, path, *, progress=None):
        """Write the image to a file of mode 0600, atomically and durably.

        What was at path stays until the image is on disk, and is replaced then.
        progress is that of to_bytes.  Raises OSError as the system does, and
        DurabilityError where the folder cannot be synced.  A process that is killed
        meanwhile may leave a file .NAME.<16 hex digits>.tmp beside path.
        """
        from latency_kv.durable import write_atomic

        if self.image.data == NULL:
            self.encode(progress)
        write_atomic(path, memoryview(self))

    @staticmethod
    def open(path, *, mmap=True):
        """Return a snapshot that reads the image in a file, checked in O(n).

        The file is mapped, not copied: its pages are read when they are needed, and
        stay readable when it is deleted or replaced.  Whoever cuts a mapped file short
        kills its readers: mmap=False reads it into memory.  Raises OSError as the
        system does, and what from_bytes raises.
        """
        from pathlib import Path

        path = Path(path)
        return _snapshot_in(map_file(path) if mmap else read_file(path), path)

    def columns(self):
        """Return the image's sections as Columns, numpy arrays without a copy.

        key_offsets and value_offsets are int64 of shape (n + 1,), keys and values
        uint8; entry i's key is keys[key_offsets[i]:key_offsets[i + 1]].  They are
        read-only and keep the image alive.  Needs numpy: latency-kv[numpy].
        """
        return columns_of(memoryview(self))

    def to_arrow(self):
        """Return a pyarrow.Table of key and value, large_binary, without a copy.

        Needs pyarrow: latency-kv[arrow].
        """
        return arrow_table(memoryview(self))

    def __reduce_ex__(self, protocol):
        return _unpickled, (_portable(self, protocol),)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


cdef StateSnapshot snapshot_of(Table* table):
    """A snapshot of a table as it is now."""
    cdef StateSnapshot snapshot = StateSnapshot.__new__(StateSnapshot)
    snapshot.timestamp_ns = time.time_ns()
    snapshot.adopt(table)
    return snapshot


cdef StateSnapshot _snapshot_in(object memory, object path):
    """A snapshot of the image in memory, bytes or a memoryview, after all checks."""
    cdef StateSnapshot snapshot = StateSnapshot.__new__(StateSnapshot)
    cdef Image image
    cdef const char* data
    cdef size_t size, at = 0
    cdef Fault fault
    if PyBytes_CheckExact(memory):
        data = PyBytes_AS_STRING(memory)
        size = PyBytes_GET_SIZE(memory)
    else:
        data = <const char*>PyMemoryView_GET_BUFFER(memory).buf
        size = PyMemoryView_GET_BUFFER(memory).len
    fault = image_read_header(&image, data, size)
    if fault == SOUND:
        with nogil:
            fault = image_verify(&image, &at)
    if fault:
        raise _refusal(fault, &image, data, size, at, path)
    snapshot.memory = memory
    snapshot.image = image
    snapshot.timestamp_ns = <long long>image_word(data, STAMP_AT)
    return snapshot


cdef object _refusal(
    Fault fault, const Image* image, const char* data, size_t size, size_t at,
    object path,
):
    """The error that a fault becomes, with the numbers that tell."""
    if fault == OTHER_VERSION:
        version = image_word(data, VERSION_AT)
        return SnapshotVersionError(version & 0xFFFFFFFF, version >> 32, path)
    if fault == TOO_SHORT:
        reason = (
            f"it has {counted(size, 'byte')}, and a snapshot image at least "
            f"{HEADER_SIZE}"
        )
    elif fault == OTHER_SIZE:
        reason = (
            f"its header says {image_word(data, SIZE_AT):,} bytes, and there are "
            f"{size:,}: it was cut short, or something was added"
        )
    elif fault == DAMAGED:
        reason = (
            f"its checksum should be {image_word(data, CHECKSUM_AT):016x}, and is "
            f"{image_checksum(image):016x}: it was damaged"
        )
    else:
        reason = FAULTS[fault].format(at)
    return SnapshotCorruptError(reason, path)


cdef object _portable(StateSnapshot snapshot, int protocol):
    """What a pickle holds of a snapshot: its image, out of band where it can be."""
    if protocol >= 5:
        from pickle import PickleBuffer

        return PickleBuffer(snapshot)
    return snapshot.to_bytes()


# Pickles name it, so it stays.
def _unpickled(image):
    return StateSnapshot.from_bytes(image)


collections.abc.Mapping.register(StateSnapshot)
