"""The command line: one file or folder a command, named as the command is; `main.py` has the list.

Beside them what several commands use: `command` (settings, Kafka), `output` (what is printed), `signals`, `brokers`,
`stack`, `send`, `offsets`, `progress`.
"""
