"""`emberline demo`: everything here under a simulated fleet, and an account of it.

command.py   the command
account.py   the run, and what it comes to
registry.py  the fleet's registry, from files into detection, and an alarm reset through it
topics.py    reading topics back
show.py      what is shown meanwhile and at the end
"""
