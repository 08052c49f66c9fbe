"""Testing: one contract a facet, for providers wherever they are written.

    class TestMine(EventBusContract):
        @pytest.fixture
        def provider(self):
            return Mine()

Each contract is a class of tests that a provider's own test class inherits.  It says in
its attributes and methods that are no tests what else it wants to know of a provider.
The tests run on asyncio and, where it is installed, trio: a provider for one of them
overrides the fixture `anyio_backend`.

Needs pytest: `pip install 'latency-kv[testing]'`.  Start at `StateStoreContract`.
"""

from latency_kv.testing import _asserts as _asserts
from latency_kv.testing.decision_handler import DecisionHandlerContract
from latency_kv.testing.dev_agent import DevAgentContract
from latency_kv.testing.event_bus import EventBusContract
from latency_kv.testing.issue_tracker import IssueTrackerContract
from latency_kv.testing.logger import LoggedMessage, LoggerContract
from latency_kv.testing.pipeline import PipelineContract
from latency_kv.testing.secret_store import SecretStoreContract
from latency_kv.testing.source_control import SourceControlContract
from latency_kv.testing.state_store import StateStoreContract
from latency_kv.testing.workflow_engine import WorkflowEngineContract

__all__ = [
    "DecisionHandlerContract",
    "DevAgentContract",
    "EventBusContract",
    "IssueTrackerContract",
    "LoggedMessage",
    "LoggerContract",
    "PipelineContract",
    "SecretStoreContract",
    "SourceControlContract",
    "StateStoreContract",
    "WorkflowEngineContract",
]
