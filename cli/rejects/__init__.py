"""What operators do with rejects: list them, look at one, send them again after a fix.

stored.py      the rejects as ClickHouse holds them, and their ids
remembered.py  which were sent again, on `emberline.replays`
replay.py      sending them again, each once
told.py        what is printed, for people and as JSON
command.py     `emberline rejects`
"""
