"""A Kafka-compatible broker and a ClickHouse that pip alone installs.

Each runs as a process of its own behind its real network protocol, so that everything else
connects to it as to the real thing:

    python -m embedded.clickhouse --data-dir DIR     (chDB behind the ClickHouse native protocol)
    python -m embedded.broker                        (Tansu, memory only)

`embedded.processes` starts them as children. For one machine, demos and quick tests: production
runs a ClickHouse server and Kafka. Imports nothing else of the project.
"""
