"""What travels through emberline: reports, columns, events, topics and tables. Imports nothing of ours."""
