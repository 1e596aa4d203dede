"""ClickHouse: tables from `schemas/clickhouse`, written over the native protocol, one INSERT one part.

- `config`   where the server is, and the limits
- `rows`     pure: records of a topic become columns of a table
- `wire`     columns become bytes of the native protocol
- `service`  connections; the one place that decides whether to try again
- `claims`   who may write which partition, and why nothing is written twice
- `marks`    which alarms may be open
- `writer`   the sink
- `migrate`  the tables
- `views`    the views
"""
