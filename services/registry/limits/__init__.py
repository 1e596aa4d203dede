"""Limits that people set: rows by scope and kind of alarm, from files, checked, published, shown."""
