"""Records: frozen, slotted, picklable, compared by content; one of each kind."""

import copy
import dataclasses
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from facets.facts import RECORDS
from latency_kv import facets
from latency_kv.facets import (
    AgentCapabilities,
    AgentResult,
    AgentUsage,
    Branch,
    BranchSpec,
    Comment,
    Commit,
    CommitQuery,
    CommitSpec,
    Decision,
    DecisionOption,
    DecisionResult,
    DecisionSpec,
    DiffEntry,
    InvokeOptions,
    Issue,
    IssueQuery,
    IssueSpec,
    IssueUpdate,
    PaginatedQuery,
    PaginatedResult,
    PipelineDefinition,
    PipelineRun,
    StepResult,
    StreamChunk,
    TriggerOptions,
    Workflow,
    WorkflowSpec,
    WorkflowStep,
)

NOW = datetime(2024, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)

OPTIONS = (DecisionOption("yes", metadata={"cost": 3}), DecisionOption("no", "later"))
RESULT = DecisionResult("yes", "ada", rationale="it is cheap")
STEPS = (WorkflowStep("a", "A"), WorkflowStep("b", "B", "after a", ("a",)))
ISSUE = Issue("7", "title", "body", "open", ("bug",), ("ada",), NOW, LATER)

SAMPLES: list[Any] = [
    ISSUE,
    IssueSpec("title", "body", ("bug",), ("ada",)),
    IssueUpdate(state="closed", labels=()),
    IssueQuery(state="open", labels=("bug",), assignee="ada", limit=3, offset=1),
    Comment("1", "text", "ada", NOW),
    Branch("main", "c0ffee", True, NOW),
    BranchSpec("topic", "main"),
    Commit("c0ffee", "message", "ada", NOW),
    CommitSpec("message", ("a.py", "b.py")),
    CommitQuery(branch="main", author="ada", since=NOW, until=LATER, limit=1),
    DiffEntry("a.py", "modified", 2, 1),
    InvokeOptions(timeout_ms=100, metadata={"model": ["fast"]}),
    AgentUsage(10, 20),
    AgentResult("output", "i-1", AgentUsage(10, 20)),
    StreamChunk("text", {"tool": {"name": "grep"}}),
    AgentCapabilities(True, False, ("fast", "slow")),
    TriggerOptions(branch="main", parameters={"level": "3"}, environment={"A": "1"}),
    PipelineDefinition("p", "Pipeline", "builds", "main"),
    PipelineRun("r", "p", "completed", NOW, NOW, LATER, "https://example.com/r"),
    DecisionSpec("title", "description", OPTIONS, "high", LATER),
    OPTIONS[0],
    RESULT,
    Decision("d", "title", "", OPTIONS, "high", "resolved", NOW, None, RESULT, LATER),
    WorkflowSpec("name", STEPS, "description"),
    STEPS[1],
    StepResult("a", "completed", {"rows": [1]}, None, NOW, LATER),
    Workflow(
        "w",
        "name",
        STEPS,
        "running",
        (StepResult("a", "completed", output=[1]), StepResult("b", "pending")),
        NOW,
        input={"day": ["monday"]},
    ),
    PaginatedQuery(10, 20),
    PaginatedResult((ISSUE,), 1, False),
]

each = pytest.mark.parametrize(
    "record", SAMPLES, ids=[type(record).__name__ for record in SAMPLES]
)


def test_every_record_is_here() -> None:
    assert {type(record).__name__ for record in SAMPLES} == RECORDS.keys()


@each
def test_record_cannot_be_changed(record: Any) -> None:
    for field in dataclasses.fields(record):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field.name, None)
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(record, field.name)


@each
def test_record_has_slots(record: Any) -> None:
    """All but the generic one, which CPython 3.11 could not make with them."""
    assert hasattr(record, "__dict__") == isinstance(record, PaginatedResult)


@each
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_record_is_pickled_and_copied(record: Any, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(record, protocol))
    assert again == record and type(again) is type(record)
    assert copy.copy(record) == copy.deepcopy(record) == record


@each
def test_record_has_a_hash_also_where_it_holds_a_mapping(record: Any) -> None:
    again = pickle.loads(pickle.dumps(record))
    assert len({record, again}) == 1


@each
def test_record_differs_where_a_field_does(record: Any) -> None:
    for field in dataclasses.fields(record):
        assert dataclasses.replace(record, **{field.name: "else"}) != record


@each
def test_record_shows_its_fields(record: Any) -> None:
    shown = repr(record)
    assert shown.startswith(f"{type(record).__name__}(")
    assert all(f"{field.name}=" in shown for field in dataclasses.fields(record))


@pytest.mark.parametrize(
    ("record", "defaults"),
    [
        (IssueSpec("t"), {"body": "", "labels": (), "assignees": ()}),
        (IssueQuery(), {"state": "all", "labels": (), "limit": None, "offset": 0}),
        (IssueUpdate(), dict.fromkeys(RECORDS["IssueUpdate"].replace("?", "").split())),
        (BranchSpec("b"), {"from_ref": None}),
        (CommitQuery(), {"branch": None, "since": None, "limit": None, "offset": 0}),
        (InvokeOptions(), {"timeout_ms": None, "signal": None, "metadata": {}}),
        (TriggerOptions(), {"branch": None, "parameters": {}, "environment": {}}),
        (WorkflowStep("a", "A"), {"depends_on": (), "description": None}),
        (PaginatedQuery(), {"limit": None, "offset": 0}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_left_out_is_empty(record: Any, defaults: dict[str, Any]) -> None:
    assert {name: getattr(record, name) for name in defaults} == defaults


def test_default_mappings_are_not_shared() -> None:
    assert InvokeOptions().metadata is not InvokeOptions().metadata


def test_queries_are_pages_of_their_lists() -> None:
    """So whoever pages needs to know no facet."""
    assert issubclass(IssueQuery, PaginatedQuery)
    assert issubclass(CommitQuery, PaginatedQuery)
    assert PaginatedQuery(3) != IssueQuery(limit=3)


def test_generic_page_can_be_made_with_its_type() -> None:
    assert PaginatedResult[int]((1, 2), 5, True) == PaginatedResult((1, 2), 5, True)


def test_every_record_is_documented_in_words_of_its_own() -> None:
    """A dataclass without a docstring gets its signature for one."""
    for name in RECORDS:
        doc = getattr(facets, name).__doc__
        assert doc and not doc.startswith(f"{name}(")
