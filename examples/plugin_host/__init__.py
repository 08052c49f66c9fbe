"""Plugin host: plugins whose state outlives the host, their own versions and a damage.

    __main__, story             four acts on one state directory, and their claims
    host -> log                 starts plugins: recovers, migrates, validates, restores
    flight_board, daily_notes   two plugins: one at version 3, one that is typed into
    others                      version 1 of the first, a crash, a careless tool
    disk, report                what lies in the directory, and how it is shown

Start reading at host.py, `ready_data`, then flight_board.py, then story.py.
"""
