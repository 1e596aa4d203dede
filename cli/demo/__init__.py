"""`emberline demo`: everything here under a simulated fleet, and an account of it.

command.py   the command
account.py   the run, and what it comes to
show.py      what is shown meanwhile and at the end
"""
