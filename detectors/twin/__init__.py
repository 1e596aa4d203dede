"""The slow, obvious twin of the detectors: what they must say, written from the rules, one report at a time.

oracle.py    reports in, events out
devices.py   one device: its time, its order, what is told of it
latches.py   one component of one detector
"""
