"""`emberline replay`: recorded readings of one device, from a CSV file through the same workers as live ones.

command.py     the command
recording.py   the file: from readings to reports
replaying.py   sending them, and what came out
"""
