"""Plugins: three that do not import one another; each knows facets and its context.

    gates     which flight has which gate          provides GateBoard
    delays    how late each carrier is             provides DelayBook
    desk      announces, shows, asks               requires both, and DecisionHandler

Start at desk.
"""
