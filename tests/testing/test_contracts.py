"""Contracts: each holds for a provider in memory, and fails on every planted defect.

A contract is only as good as what it sees: each of its rules has at least one defect
that it fails on. Start at `test_rule_sees_the_planted_defect`.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from inspect import iscoroutinefunction, signature
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from latency_kv.facets import (
    AtomicStateStore,
    BatchStateStore,
    DecisionHandler,
    DevAgent,
    EventBus,
    ExpiringStateStore,
    IssueTracker,
    Logger,
    OpenedStateStore,
    PagedStateStore,
    Pipeline,
    PipelineDefinition,
    SecretStore,
    SourceControl,
    StateStore,
    WorkflowEngine,
)
from latency_kv.testing import (
    DecisionHandlerContract,
    DevAgentContract,
    EventBusContract,
    IssueTrackerContract,
    LoggedMessage,
    LoggerContract,
    PipelineContract,
    SecretStoreContract,
    SourceControlContract,
    StateStoreContract,
    WorkflowEngineContract,
)
from testing.in_memory.decision_handler import InMemoryDecisionHandler
from testing.in_memory.dev_agent import InMemoryDevAgent
from testing.in_memory.event_bus import InMemoryEventBus
from testing.in_memory.issue_tracker import InMemoryIssueTracker
from testing.in_memory.logger import InMemoryLogger
from testing.in_memory.pipeline import InMemoryPipeline
from testing.in_memory.secret_store import InMemorySecretStore
from testing.in_memory.source_control import InMemorySourceControl
from testing.in_memory.state_store import InMemoryStateStore
from testing.in_memory.workflow_engine import InMemoryWorkflowEngine, Outcome
from testing.planted import (
    decision_handler,
    dev_agent,
    event_bus,
    issue_tracker,
    logger,
    pipeline,
    read_only_secret_store,
    secret_store,
    source_control,
    state_store,
    workflow_engine,
)
from testing.planting import defects_of, rules_of, sees

LASTING_PROMPT = "Count for ever."
PIPELINES = [
    PipelineDefinition("7", "nightly", "never ends", "main"),
    PipelineDefinition("8", "build"),
]
STAGES = {"7": None, "8": 2}
OUTCOMES: dict[str, Outcome] = {
    "one": "completed",
    "two": "completed",
    "three": "completed",
    "failing": "failed",
    "lasting": "running",
}


def check_signatures() -> None:
    """For mypy: each is a provider of its facet, and nobody calls this."""
    loggers: list[Logger] = [InMemoryLogger()]
    buses: list[EventBus] = [InMemoryEventBus()]
    secrets: list[SecretStore] = [InMemorySecretStore()]
    states: list[StateStore] = [InMemoryStateStore()]
    trackers: list[IssueTracker] = [InMemoryIssueTracker()]
    controls: list[SourceControl] = [InMemorySourceControl()]
    agents: list[DevAgent] = [InMemoryDevAgent(words)]
    pipelines: list[Pipeline] = [InMemoryPipeline(PIPELINES, STAGES)]
    handlers: list[DecisionHandler] = [InMemoryDecisionHandler()]
    engines: list[WorkflowEngine] = [InMemoryWorkflowEngine(OUTCOMES)]
    del loggers, buses, secrets, states, trackers
    del controls, agents, pipelines, handlers, engines


async def words(prompt: str) -> AsyncGenerator[str, None]:
    """Answer in two words, or begin to and never go on."""
    for word in (prompt, " Hello."):
        await anyio.lowlevel.checkpoint()
        yield word
    if prompt == LASTING_PROMPT:
        await anyio.sleep_forever()


class InMemory:
    """What the classes below share: `kind` is made anew for each test."""

    kind: Any

    def made(self) -> Any:
        return self.kind()

    @pytest.fixture
    def provider(self) -> Any:
        return self.made()


class TestDecisionHandler(InMemory, DecisionHandlerContract):
    kind = InMemoryDecisionHandler


class TestDevAgent(InMemory, DevAgentContract):
    kind = InMemoryDevAgent
    lasting_prompt = LASTING_PROMPT

    def made(self) -> Any:
        return self.kind(words)


class TestEventBus(InMemory, EventBusContract):
    kind = InMemoryEventBus


class TestIssueTracker(InMemory, IssueTrackerContract):
    kind = InMemoryIssueTracker


class TestLogger(InMemory, LoggerContract):
    kind = InMemoryLogger

    def written(self, provider: Any) -> Sequence[LoggedMessage]:
        return list(provider.messages)


class TestPipeline(InMemory, PipelineContract):
    kind = InMemoryPipeline
    lasting_pipeline = "7"
    ending_pipeline = "8"

    def made(self) -> Any:
        return self.kind(PIPELINES, STAGES)


class TestSecretStore(InMemory, SecretStoreContract):
    kind = InMemorySecretStore


class TestReadOnlySecretStore(InMemory, SecretStoreContract):
    kind = InMemorySecretStore
    read_only = True
    prepared = "TOKEN", "hunter2"

    def made(self) -> Any:
        return self.kind({"TOKEN": "hunter2"}, read_only=True)


class TestSourceControl(InMemory, SourceControlContract):
    kind = InMemorySourceControl

    async def write(self, provider: Any, path: str, text: str | None) -> None:
        provider.files.pop(path, None)
        if text is not None:
            provider.files[path] = text


class TestStateStore(InMemory, StateStoreContract):
    kind = InMemoryStateStore
    capabilities = (
        AtomicStateStore,
        BatchStateStore,
        ExpiringStateStore,
        PagedStateStore,
        OpenedStateStore,
    )
    strict = True
    # So that a planted defect is met by chance in every run.
    seed = 1
    steps = 2_000

    async def pass_time(self, provider: Any, seconds: float) -> None:
        provider.now += seconds

    @asynccontextmanager
    async def beside(self, provider: Any) -> AsyncIterator[Any]:
        yield provider.beside()


class TestWorkflowEngine(InMemory, WorkflowEngineContract):
    kind = InMemoryWorkflowEngine

    def made(self) -> Any:
        return self.kind(OUTCOMES)


PLANTED = {
    TestDecisionHandler: decision_handler,
    TestDevAgent: dev_agent,
    TestEventBus: event_bus,
    TestIssueTracker: issue_tracker,
    TestLogger: logger,
    TestPipeline: pipeline,
    TestSecretStore: secret_store,
    TestReadOnlySecretStore: read_only_secret_store,
    TestSourceControl: source_control,
    TestStateStore: state_store,
    TestWorkflowEngine: workflow_engine,
}
DEFECTS = [
    (contract, kind, rule)
    for contract, module in PLANTED.items()
    for kind, rule in defects_of(module)
]


@pytest.mark.parametrize(("contract", "kind", "rule"), DEFECTS)
def test_rule_sees_the_planted_defect(
    contract: type[InMemory], kind: type, rule: str
) -> None:
    assert sees(contract(), kind, rule)


@pytest.mark.parametrize("contract", PLANTED)
def test_every_rule_has_a_planted_defect(contract: type[InMemory]) -> None:
    """The skipped ones of a store that only reads have theirs with the other's."""
    seen = {rule for other, _, rule in DEFECTS if other.__bases__ == contract.__bases__}
    assert rules_of(contract) <= seen


@pytest.mark.parametrize("contract", PLANTED)
def test_every_rule_is_async_and_takes_the_provider_alone(
    contract: type[InMemory],
) -> None:
    """So a provider's fixture may be async whatever the facet."""
    for name in rules_of(contract):
        rule = getattr(contract, name)
        assert iscoroutinefunction(rule)
        assert list(signature(rule).parameters) == ["self", "provider"]
