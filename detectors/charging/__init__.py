"""Ports of charging piles: what is known of each, and the charges that are put together of it.

An operator beside minutes and statuses: it takes what a round says of ports, keeps its state by name (`ports.PORT`),
and tells each charge as one event. What it knows of ports the detectors of `detectors/kinds/ports` are shown.

ports.py      what is kept of a port, and what detectors are shown of it
reported.py   what the reports of a round say of ports
turns.py      a charge begins, stops, is settled, ends
agreeing.py codes.py cut_off.py   what several detectors of ports have in common
power.py      power while a charge lasts: energy, and its shape
sessions.py   all of it, round by round
"""
