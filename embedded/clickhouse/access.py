"""What statements may do: chDB's own grants and constraints of settings, for every statement of every user.

chDB knows one user, `default`, whom files beside the data describe. It is granted what tables need and no source of
rows outside: neither files, URLs and other servers, nor dictionaries, functions, named collections, BACKUP or SYSTEM.
So chDB itself refuses `file()`, `url()`, `s3()`, `remote()` and their siblings, INSERT INTO FUNCTION, the tables and
databases of such engines, and files in the place of table names (`default` is also a database of files), wherever in a
statement and however written. Settings are fixed but for those that `CHANGEABLE` names: some make chDB read a file
(`format_template_row`), ask a URL (`format_avro_schema_registry_url`), or keep a table elsewhere (`disk`).

What this leaves open [found by trying chDB 26.9] is for `embedded.clickhouse.guard`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

GRANTS: Final = (
    "SELECT, INSERT, SHOW, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE TEMPORARY TABLE, "
    "DROP DATABASE, DROP TABLE, DROP VIEW, TRUNCATE, OPTIMIZE, CHECK, KILL QUERY, "
    # Not ALTER as a whole: FREEZE and FETCH PARTITION reach beyond the table's own folder.
    "ALTER UPDATE, ALTER DELETE, ALTER COLUMN, ALTER MODIFY COMMENT, ALTER INDEX, ALTER PROJECTION, "
    "ALTER CONSTRAINT, ALTER TTL, ALTER SETTINGS, ALTER VIEW"
)
CHANGEABLE: Final = re.compile(
    r"(max|min|join|group_by|optimize|insert|async_insert|output_format|input_format|date_time|distinct|aggregat"
    r"|enable_optimize|query_plan|cast|final|flatten|preferred|read|short_circuit|totals|transform|use)_\w*"
    r"|\w+_(timeout|timeout_ms|timeout_seconds|overflow_mode|sync)"
    r"|readonly|database|log_comment|log_queries\w*|log_query\w*|extremes|priority|final|limit|offset|timezone"
    r"|session_timezone|async_insert|wait_for_async_insert|union_default_mode|format_csv_delimiter|compatibility"
    r"|enable_http_compression|wait_end_of_query|send_logs_level|strings_as_numbers|use_client_time_zone"
    r"|lightweight_deletes_sync|function_sleep_max_microseconds_per_block|interactive_delay|count_distinct_implementation"
)
"""Settings that statements may change: of how much, how long and how rows are written, none of where."""
CHANGEABLE_OF_TABLES: Final = re.compile(r"(?!(table_)?disk$|storage_policy$|.*(path|remote|zookeeper|zero_copy))\w+")
"""Settings that tables may have: all but where they are kept."""

_USERS: Final = """<clickhouse>
<profiles><default><constraints>{constraints}</constraints></default></profiles>
<users><default><password></password><networks><ip>::/0</ip></networks><profile>default</profile>
<quota>default</quota><grants><query>GRANT {grants} ON *.*</query></grants></default></users>
<quotas><default></default></quotas>
</clickhouse>
"""
_CONFIG: Final = """<clickhouse>
<user_directories><users_xml><path>{users}</path></users_xml></user_directories>
<user_scripts_path>{nowhere}</user_scripts_path><user_files_path>{nowhere}</user_files_path>
</clickhouse>
"""


def write_config(folder: Path, settings: Iterable[str], table_settings: Iterable[str]) -> Path:
    """Write what chDB reads when it opens its data, given the names of all settings it has; return the file to name."""
    fixed = [name for name in settings if not CHANGEABLE.fullmatch(name)]
    fixed += [f"merge_tree_{name}" for name in table_settings if not CHANGEABLE_OF_TABLES.fullmatch(name)]
    constraints = "".join(f"<{name}><const/></{name}>" for name in fixed)
    users, config = folder / "emberline-users.xml", folder / "emberline-config.xml"
    users.write_text(_USERS.format(constraints=constraints, grants=GRANTS), encoding="utf-8")
    nowhere = folder / "emberline-nowhere"
    config.write_text(_CONFIG.format(users=users, nowhere=f"{nowhere}/"), encoding="utf-8")
    return config
