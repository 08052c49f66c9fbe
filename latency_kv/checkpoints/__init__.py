"""Checkpoints: snapshots on disk, by generations, for operators that start again.

    directory     CheckpointDirectory: write the next generation, read the newest
    background    BackgroundWriter: the same from a thread of its own
    records       what both tell of a checkpoint

Knows snapshots and files, no store.  Start at `directory`.
"""

from latency_kv.checkpoints.background import BackgroundWriter
from latency_kv.checkpoints.directory import CheckpointDirectory
from latency_kv.checkpoints.records import CheckpointInfo, SkippedCheckpoint

__all__ = [
    "BackgroundWriter",
    "CheckpointDirectory",
    "CheckpointInfo",
    "SkippedCheckpoint",
]
