"""ClickHouse: tables from `schemas/clickhouse`, written over the native protocol, one INSERT one part.

- `config`   where the server is, and the limits
- `rows`     pure: records of a topic become columns of a table
- `wire`     columns become bytes of the native protocol
- `service`  connections; the one place that decides whether to try again
- `writer`   the sink
- `migrate`  the tables
"""
