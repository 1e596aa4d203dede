"""emberline's detect worker beside what else a Python team would pick: the same rules, topic and bytes."""
