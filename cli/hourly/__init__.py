"""`emberline hourly`: hours and days in ClickHouse, and what early warning has to say of them.

command.py runs it, run.py is one run; aggregates.py makes hours and days, slices.py says which devices are taken
together, learned.py keeps what is learned, reading.py reads what the rules judge, publishing.py tells notices,
ratings.py the risk; storage.py is how ClickHouse is asked.
"""
