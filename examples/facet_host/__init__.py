"""Facet host: three plugins that meet only through facets, and one snapshot of it all.

    __main__, story, checks     four acts in one folder, and their claims
    lives -> life               a host in a process of its own, which can be killed
    host -> duty, evening       one store, the plugin manager, what the host provides
    plugins/                    gates, delays, desk, each with its manifest beside it
    facets, manifests           all that a plugin knows of this host
    others, report              plugins that are refused, and how all is shown

Start reading at host.py, then plugins/desk.py, then story.py.
"""
