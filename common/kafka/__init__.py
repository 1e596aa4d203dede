"""How Kafka is reached.

clients.py   every client of Kafka, by the settings
errors.py    what to tell the operator when one fails
"""
