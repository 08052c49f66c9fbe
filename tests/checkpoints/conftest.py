"""What the tests of checkpoints share: a directory that keeps three."""

from pathlib import Path

import pytest

from latency_kv.checkpoints import CheckpointDirectory


@pytest.fixture
def directory(folder: Path) -> CheckpointDirectory:
    return CheckpointDirectory(folder, keep=3)
