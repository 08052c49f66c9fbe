"""Logging: StandardLogger keeps the facet's contract, and is at home in `logging`.

Kept, handled_by    a handler that keeps records, and the logger NAME with only that
written             the same as text, by a formatter, as a file would have it
"""

import contextlib
import copy
import enum
import io
import logging
import logging.handlers
import pickle
import queue
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from unittest.mock import MagicMock

import pytest

from latency_kv.facets.logger import Logger
from latency_kv.providers.logging import StandardLogger
from latency_kv.testing.logger import LoggedMessage, LoggerContract

NAME = "tests.shop"

LEVELS: dict[int, Literal["debug", "info", "warn", "error"]] = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warn",
    logging.ERROR: "error",
}

# What `logging` has on every record, refuses in `extra`, or takes as an argument.
NAMES_IN_LOGGING = [
    *vars(logging.makeLogRecord({})),
    "asctime",
    "context",
    "extra",
    "level",
    "message",
    "self",
    "stacklevel",
    "taskName",
]


class Kept(logging.Handler):
    """Keeps the records as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class PickledQueue(queue.Queue[Any]):
    """Hands over what another process would get."""

    def put_nowait(self, item: Any) -> None:
        super().put_nowait(pickle.dumps(item))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        return pickle.loads(super().get(block, timeout))


class Color(enum.StrEnum):
    RED = "red"


class Loud(str):
    """A text that has something else to say of itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "loud\nERROR forged"

    __str__ = __repr__


class Shown:
    """An object with a repr of one's choice."""

    def __init__(self, text: Any) -> None:
        self.text = text

    def __repr__(self) -> str:
        if isinstance(self.text, BaseException):
            raise self.text
        return self.text  # type: ignore[no-any-return]


class Untouchable(Mapping[str, Any]):
    """A context that raises when it is looked at."""

    def __getitem__(self, key: str) -> Any:
        raise AssertionError("it was looked at")

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("it was looked at")

    def __len__(self) -> int:
        raise AssertionError("it was looked at")


@contextlib.contextmanager
def handled_by(handler: logging.Handler) -> Iterator[None]:
    """Let the logger NAME write every level, to this handler alone."""
    logger = logging.getLogger(NAME)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(handler)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    with handled_by(handler):
        yield handler


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    with handled_by(handler):
        yield stream


class TestStandardLogger(LoggerContract):
    @pytest.fixture
    def provider(self, kept: Kept) -> Logger:
        self.records = kept.records
        return StandardLogger(NAME)

    def written(self, provider: Logger) -> Sequence[LoggedMessage]:
        return [
            LoggedMessage(
                LEVELS[record.levelno], message_of(record), context_of(record)
            )
            for record in self.records
        ]


def context_of(record: logging.LogRecord) -> dict[str, Any]:
    context = vars(record)["context"]
    assert type(context) is dict
    return context


def message_of(record: logging.LogRecord) -> str:
    """The message without the pairs behind it."""
    if not context_of(record):
        return record.getMessage()
    assert isinstance(record.args, tuple)
    (pairs,) = record.args
    return record.getMessage().removesuffix(f" {pairs}")


def test_context_stands_behind_the_message(written: io.StringIO) -> None:
    logger = StandardLogger(NAME, {"plugin": "seats"})
    logger.child({"seat": "12A"}).warn("sold", {"price": 3.5, "to": "A B", "plugin": 1})
    logger.error("closed")
    StandardLogger(NAME).debug("bare")
    assert written.getvalue().splitlines() == [
        "WARNING sold plugin=1 seat=12A price=3.5 to='A B'",
        "ERROR closed plugin=seats",
        "DEBUG bare",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("12A", "12A"),
        ("caf\u00e9/\u4e16-%s:{x}", "caf\u00e9/\u4e16-%s:{x}"),
        ("", "''"),
        ("two words", "'two words'"),
        ("a admin=True", "'a admin=True'"),
        ("a=b", "'a=b'"),
        ("it's", '"it\'s"'),
        ('"', "'\"'"),
        ("a\nERROR forged", r"'a\nERROR forged'"),
        ("a\r\x1b[2Kforged", r"'a\r\x1b[2Kforged'"),
        ("a\u2028b\u0085c\u202ed\x00", r"'a\u2028b\x85c\u202ed\x00'"),
        ("\udcff", r"'\udcff'"),
        (12, "12"),
        (None, "None"),
        (1.5, "1.5"),
        (b"a\n", r"b'a\n'"),
        (["12 A", 3], "['12 A', 3]"),
        ({"k": "v\n"}, r"{'k': 'v\n'}"),
        (ValueError("a\nb"), r"ValueError('a\nb')"),
        (Color.RED, "red"),
        (Loud("quiet"), "quiet"),
        (Loud("a\nb"), r"'a\nb'"),
        (Shown("<seat 12A>"), "<seat 12A>"),
        (Shown("array([1,\n       2])"), r"'array([1,\n       2])'"),
        (Shown(ValueError("x")), "<Shown, whose repr raised ValueError>"),
        (Shown(RecursionError()), "<Shown, whose repr raised RecursionError>"),
        (Shown(7), "<Shown, whose repr raised TypeError>"),
        (
            type("a\nb", (), {"__repr__": None})(),
            r"'<a\nb, whose repr raised TypeError>'",
        ),
    ],
)
def test_value_is_a_word_or_a_repr_of_one_line(
    written: io.StringIO, value: Any, shown: str
) -> None:
    StandardLogger(NAME).info("sold", {"seat": value})
    assert written.getvalue() == f"INFO sold seat={shown}\n"


def test_mock_of_a_text_is_shown_as_a_mock(written: io.StringIO) -> None:
    """It says that it is a str, and is none."""
    StandardLogger(NAME).info("sold", {"seat": MagicMock(spec=str)})
    assert written.getvalue().startswith("INFO sold seat=<MagicMock spec='str'")


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("a\nERROR forged", r"'a\nERROR forged'"),
        ("a b", "'a b'"),
        ("a=b", "'a=b'"),
        ("", "''"),
        ("%s", "%s"),
        (7, "7"),
        (("a", "b"), "('a', 'b')"),
        (None, "None"),
    ],
)
def test_key_is_shown_as_a_value_is(written: io.StringIO, key: Any, shown: str) -> None:
    logger = StandardLogger(NAME).child({key: 1})
    logger.info("sold", context={"seat": 2})
    assert written.getvalue() == f"INFO sold {shown}=1 seat=2\n"


@pytest.mark.parametrize("name", NAMES_IN_LOGGING)
def test_key_may_be_a_name_of_logging(kept: Kept, name: str) -> None:
    StandardLogger(NAME).child({name: 1}).info("sold", {"seat": 2})
    (record,) = kept.records
    assert context_of(record) == {name: 1, "seat": 2}
    assert record.getMessage() == f"sold {name}=1 seat=2"
    assert (record.name, record.levelno) == (NAME, logging.INFO)


@pytest.mark.parametrize(
    "message", ["100%", "%s", "%(seat)s %d", "%%", "{seat}", "$seat", "", "a\\nb"]
)
@pytest.mark.parametrize("context", [None, {}, {"seat": "%d"}])
def test_message_is_no_template(
    written: io.StringIO, message: str, context: dict[str, Any] | None
) -> None:
    StandardLogger(NAME).info(message, context)
    pairs = " seat=%d" if context else ""
    assert written.getvalue() == f"INFO {message}{pairs}\n"


def test_message_stays_the_template_that_tools_group_by(kept: Kept) -> None:
    for seat in ("12A", "12B"):
        StandardLogger(NAME).info("sold", {"seat": seat})
    first, second = kept.records
    assert first.msg == second.msg


def test_message_that_is_no_text_is_written(written: io.StringIO) -> None:
    """As in `logging`, where `error(error)` is usual."""
    error: Any = ValueError("100% wrong")
    StandardLogger(NAME).error(error, {"seat": 1})
    StandardLogger(NAME).error(error)
    assert written.getvalue() == "ERROR 100% wrong seat=1\nERROR 100% wrong\n"


def test_context_of_a_record_is_its_own(kept: Kept) -> None:
    logger = StandardLogger(NAME, {"plugin": "seats"})
    logger.info("first")
    context_of(kept.records[0])["added"] = "by a filter"
    logger.info("second")
    assert context_of(kept.records[1]) == {"plugin": "seats"}


def test_context_holds_the_values_themselves(kept: Kept) -> None:
    value = object()
    StandardLogger(NAME).info("sold", {"seat": value})
    assert context_of(kept.records[0])["seat"] is value


def test_given_context_is_copied(kept: Kept) -> None:
    context = {"plugin": "seats"}
    logger = StandardLogger(NAME, context)
    context["plugin"] = "other"
    logger.info("sold")
    assert context_of(kept.records[0]) == {"plugin": "seats"}


@pytest.mark.parametrize("level", LEVELS)
def test_file_and_line_are_the_callers(kept: Kept, level: int) -> None:
    parent = StandardLogger(NAME)
    for logger in (parent, parent.child({"a": 1})):
        method = getattr(logger, LEVELS[level])
        line = sys._getframe().f_lineno + 1
        method("sold", {"seat": 1})
        record = kept.records.pop()
        assert record.levelno == level
        assert Path(record.pathname) == Path(__file__)
        assert record.lineno == line
        assert record.funcName == "test_file_and_line_are_the_callers"


def everything_off(logger: logging.Logger) -> None:
    logger.setLevel(logging.CRITICAL)


def most_is_disabled(logger: logging.Logger) -> None:
    logging.disable(logging.ERROR)


@pytest.mark.parametrize("turn_off", [everything_off, most_is_disabled])
@pytest.mark.parametrize("method", LEVELS.values())
def test_level_that_is_off_leaves_message_and_context_alone(
    kept: Kept,
    method: str,
    turn_off: Callable[[logging.Logger], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    turn_off(logging.getLogger(NAME))
    try:
        message = Shown(AssertionError("it was looked at"))
        getattr(StandardLogger(NAME), method)(message, Untouchable())
    finally:
        logging.disable(logging.NOTSET)
    assert kept.records == []
    assert capsys.readouterr().err == "", "they were looked at, in vain"


def test_each_level_has_its_own_switch(kept: Kept) -> None:
    logger = StandardLogger(NAME)
    for level in LEVELS:
        logging.getLogger(NAME).setLevel(level)
        kept.records.clear()
        for method in LEVELS.values():
            getattr(logger, method)("message")
        assert [record.levelno for record in kept.records] == [
            other for other in LEVELS if other >= level
        ]


def failing_filter(record: logging.LogRecord) -> bool:
    raise RuntimeError("a filter's own")


@pytest.mark.parametrize(
    ("message", "context"),
    [
        (Shown(ValueError("the message's own")), {}),
        ("message", Untouchable()),
        ("message", 7),
    ],
)
def test_call_that_cannot_be_written_raises_nothing_and_is_told(
    written: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    message: Any,
    context: Any,
) -> None:
    StandardLogger(NAME).info(message, context)
    assert written.getvalue() == ""
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert __file__ in told or "TypeError" in told


def test_failing_filter_is_nobodys_failure(
    kept: Kept, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.addFilter(failing_filter)
    StandardLogger(NAME).info("message")
    assert "a filter's own" in capsys.readouterr().err
    monkeypatch.setattr(logging, "raiseExceptions", False)
    StandardLogger(NAME).info("message")
    assert capsys.readouterr().err == ""


def test_failure_is_nobodys_also_without_stderr(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.addFilter(failing_filter)
    closed = io.StringIO()
    closed.close()
    for stderr in (None, closed):
        monkeypatch.setattr(sys, "stderr", stderr)
        StandardLogger(NAME).info("message")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupt_in_a_repr_goes_through(
    kept: Kept, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        StandardLogger(NAME).info("sold", {"seat": Shown(error())})


def test_caplog_sees_message_and_context(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        StandardLogger().child({"plugin": "seats"}).info("100% sold", {"seat": "12A"})
    assert caplog.messages == ["100% sold plugin=seats seat=12A"]
    assert caplog.record_tuples[0][0] == "latency_kv.plugins"
    assert context_of(caplog.records[0]) == {"plugin": "seats", "seat": "12A"}


@pytest.mark.parametrize(
    ("style", "form"),
    [
        ("%", "%(message)s %(context)s %(filename)s"),
        ("{", "{message} {context} {filename}"),
        ("$", "$message $context ${filename}"),
    ],
)
def test_formatter_may_ask_for_the_context(
    kept: Kept, style: Literal["%", "{", "$"], form: str
) -> None:
    formatter = logging.Formatter(form, style=style)
    StandardLogger(NAME).info("{100%} $sold", {"seat": "%s"})
    StandardLogger(NAME).info("{100%} $sold")
    assert [formatter.format(record) for record in kept.records] == [
        "{100%} $sold seat=%s {'seat': '%s'} test_logging.py",
        "{100%} $sold {} test_logging.py",
    ]


@pytest.mark.parametrize("kind", [queue.Queue, PickledQueue])
def test_queue_handler_carries_it_whole(kind: Callable[[], Any]) -> None:
    """To another thread, or pickled to another process."""
    records = kind()
    kept = Kept()
    with handled_by(logging.handlers.QueueHandler(records)):
        seats = ["12A"]
        StandardLogger(NAME).info("100% sold", {"seats": seats})
        listener = logging.handlers.QueueListener(records, kept)
        listener.start()
        listener.stop()
    (record,) = kept.records
    assert record.getMessage() == "100% sold seats=['12A']"
    assert context_of(record) == {"seats": ["12A"]}
    assert record.filename == "test_logging.py"


def test_text_is_made_at_the_call(kept: Kept) -> None:
    """Whoever formats the record later, in another thread, sees what was then."""
    seats = ["12A"]
    StandardLogger(NAME).info("sold", {"seats": seats})
    seats.append("12B")
    assert kept.records[0].getMessage() == "sold seats=['12A']"


def test_logger_may_be_given_itself(kept: Kept) -> None:
    StandardLogger(logging.getLogger(NAME)).info("message")
    StandardLogger(logging.getLogger("tests").getChild("shop"), None).info("message")
    assert [record.name for record in kept.records] == [NAME, NAME]


def test_children_of_a_logger_of_logging_are_its_own(kept: Kept) -> None:
    """Levels are set where the application sets all the others."""
    logging.getLogger(f"{NAME}.inner").setLevel(logging.ERROR)
    try:
        StandardLogger(f"{NAME}.inner").warn("message")
        StandardLogger(f"{NAME}.other").warn("message")
    finally:
        logging.getLogger(f"{NAME}.inner").setLevel(logging.NOTSET)
    assert [record.name for record in kept.records] == [f"{NAME}.other"]


def test_repr_shows_keys_and_no_values() -> None:
    logger = StandardLogger(NAME, {"token": "hunter2"})
    assert repr(logger) == "StandardLogger('tests.shop', keys=['token'])"


def test_copy_writes_the_same(kept: Kept) -> None:
    logger = StandardLogger(NAME, {"plugin": "seats"})
    for other in (copy.copy(logger), copy.deepcopy(logger)):
        other.info("message")
        assert context_of(kept.records[-1]) == {"plugin": "seats"}
