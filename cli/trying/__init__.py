"""`emberline try`: command.py reads recorded reports and prints what they mean, registered.py what is registered."""
