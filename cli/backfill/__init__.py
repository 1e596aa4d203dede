"""Detecting again, with other limits, over what is stored: what would have been raised, against what was.

plan.py        what is asked for, checked
reading.py     telemetry rows as the columns detectors take
finding.py     the run: read, detect, write to tables of its own
comparing.py   what it found against the live alarms
told.py        what is printed, for people and as JSON
command.py     `emberline backfill`
"""
