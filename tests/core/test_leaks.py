"""Leaks: no call and no error leaves anything behind.

The measuring is slopes.py, in an interpreter of its own, since pytest allocates too.
"""

from pathlib import Path

from fresh import call_fresh


def test_no_call_and_no_error_path_leaks() -> None:
    call_fresh("core.slopes:find_leaks")


def test_dropped_stores_snapshots_and_scans_are_freed() -> None:
    call_fresh("core.slopes:find_leaks_of_stores")


def test_refused_restores_leave_nothing(tmp_path: Path) -> None:
    call_fresh("core.slopes:find_leaks_of_refused_restores", str(tmp_path))
