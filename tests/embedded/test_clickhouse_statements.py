"""Statements, settings and errors behave as on a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from embedded.clickhouse import statements
from embedded.processes import Running
from tests.embedded.conftest import SLOW
from tests.support.processes import until


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM nothing_here", 60),
        ("SELECT FROM WHERE", 62),
        ("SELECT 1; SELECT 2", 62),
        ("SELECT throwIf(number = 5) FROM numbers(10)", 395),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115),
        ("CREATE TABLE t (a NoSuchType) ENGINE = Memory", 50),
    ],
)
def test_an_error_has_the_code_of_clickhouse(client: Client, sql: str, code: int) -> None:
    with pytest.raises(ServerException) as caught:
        client.execute(sql)
    assert caught.value.code == code
    assert client.execute("SELECT 1") == [(1,)]


def test_an_insert_into_what_is_not_there_has_the_code_of_clickhouse(client: Client) -> None:
    client.execute("CREATE TABLE t (a Int8) ENGINE = Memory")
    for sql, code in (("INSERT INTO u VALUES", 60), ("INSERT INTO t (b) VALUES", 16)):
        with pytest.raises(ServerException) as caught:
            client.execute(sql, [(1,)])
        assert caught.value.code == code


def test_a_wrong_password_user_or_database_is_refused(clickhouse: Running) -> None:
    for wrong, code in (({"password": "x"}, 516), ({"user": "x"}, 516), ({"database": "x"}, 81)):
        with Client(clickhouse.host, clickhouse.port, **wrong) as client:
            with pytest.raises(ServerException) as caught:
                client.execute("SELECT 1")
            assert caught.value.code == code


def test_compression_is_refused_clearly(client: Client) -> None:
    client.connection.force_connect()
    client.connection.compression = 1  # what the driver says when it is to compress
    client.connection.send_query("SELECT 1")
    assert "compression=False" in client.connection.receive_packet().exception.message


def test_settings_hold_for_their_statement_only(client: Client) -> None:
    sql = "SELECT getSetting('max_threads'), getSetting('final')"
    before = client.execute(sql)
    assert client.execute(sql, settings={"max_threads": 7, "final": 1}) == [(7, True)]
    assert client.execute(sql) == before


def test_even_readonly_holds_for_its_statement_only(client: Client) -> None:
    with pytest.raises(ServerException) as caught:
        client.execute("CREATE TABLE t (a Int8) ENGINE = Memory", settings={"readonly": 1})
    assert caught.value.code == 164
    client.execute("CREATE TABLE t (a Int8) ENGINE = Memory")
    assert client.execute("SHOW TABLES") == [("t",)]


def test_no_client_can_have_inserts_begin_on_a_disk_that_may_fill_up_under_them(client: Client) -> None:
    name = "min_free_disk_bytes_to_perform_insert"
    assert client.execute(f"SELECT getSetting('{name}')", settings={name: 0}) == [(64 << 20,)]
    assert client.execute("SELECT 1", settings={"readonly": 1}) == [(1,)]
    assert client.execute(f"SELECT getSetting('{name}')") == [(64 << 20,)]


def test_an_unknown_setting_is_an_error_only_if_important(clickhouse: Running) -> None:
    setting = {"no_such_setting": 1}
    with Client(clickhouse.host, clickhouse.port) as client:
        assert client.execute("SELECT 1", settings=setting) == [(1,)]
    with Client(clickhouse.host, clickhouse.port, settings_is_important=True) as client:
        with pytest.raises(ServerException) as caught:
            client.execute("SELECT 1", settings=setting)
        assert caught.value.code == 115


def test_max_execution_time_stops_a_query(client: Client) -> None:
    with pytest.raises(ServerException) as caught:
        client.execute(
            "SELECT sum(sleepEachRow(0.1)) FROM numbers(100)",
            settings={"max_execution_time": 0.3, "max_block_size": 1},
        )
    assert caught.value.code == 159


def test_an_insert_with_the_token_of_an_earlier_one_is_skipped(client: Client) -> None:
    client.execute(
        "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    for token in ("one", "one", "two"):
        settings = {"insert_deduplication_token": token}
        client.execute("INSERT INTO t VALUES", [(1,)], settings=settings)
    assert client.execute("SELECT count() FROM t") == [(2,)]


def test_a_replacing_table_with_partitions_ttl_and_codecs_works(client: Client) -> None:
    client.execute(
        "CREATE TABLE t (id UInt32, at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD), v Float32,"
        " twice Float32 MATERIALIZED v * 2) ENGINE = ReplacingMergeTree"
        " PARTITION BY toYYYYMM(at) ORDER BY id TTL toDateTime(at) + INTERVAL 1 DAY"
    )
    now = datetime.now(UTC).replace(microsecond=0)
    rows = [(1, now, 1.0), (1, now, 2.0), (2, now - timedelta(days=40), 3.0)]
    client.execute("INSERT INTO t VALUES", rows)
    client.execute("OPTIMIZE TABLE t FINAL")
    assert client.execute("SELECT id, v, twice FROM t") == [(1, 2.0, 4.0)]
    described = "SELECT name FROM system.columns WHERE table = 't' AND database = currentDatabase()"
    assert len(client.execute(described)) == 4


def test_views_and_insert_select_work(client: Client) -> None:
    client.execute("CREATE TABLE t (k LowCardinality(String), v Int32) ENGINE = MergeTree ORDER BY k")
    client.execute("CREATE TABLE sums (k String, v Int64) ENGINE = SummingMergeTree ORDER BY k")
    client.execute("CREATE MATERIALIZED VIEW mv TO sums AS SELECT k, sum(v) v FROM t GROUP BY k")
    client.execute("CREATE VIEW big AS SELECT * FROM t WHERE v > 1")
    client.execute("INSERT INTO t VALUES", [("a", 1), ("b", 2)])
    client.execute("INSERT INTO t SELECT k, v * 10 FROM t")
    client.execute("INSERT INTO t (k, v) VALUES ('c; d', 5)")
    assert client.execute("SELECT k, sum(v) FROM sums GROUP BY k ORDER BY k") == [
        ("a", 11),
        ("b", 22),
        ("c; d", 5),
    ]
    assert client.execute("SELECT count() FROM big") == [(4,)]


INPUT = "INSERT INTO t (b, a) SELECT concat(b, ' input('), a FROM input('a Int32, `b` String')"


def test_an_insert_through_input_takes_the_clients_rows_through_its_query(client: Client) -> None:
    client.execute("CREATE TABLE t (a Int32, b String) ENGINE = MergeTree ORDER BY a")
    beyond = f"{INPUT} WHERE a > (SELECT max(a) FROM t)"  # noqa: S608
    client.execute(beyond, [(1, "x"), (2, "y")])
    client.execute(beyond + " FORMAT Native", [(2, "again"), (3, "z")])
    client.execute(INPUT, [])
    assert client.execute("SELECT * FROM t ORDER BY a") == [(1, "x input("), (2, "y input("), (3, "z input(")]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        (f"{INPUT} WHERE throwIf(a = 1, 'no')", 395),
        (f"{INPUT} WHERE no_such_column", 47),
        (INPUT.replace("Int32", "NoSuchType"), 50),
        (INPUT.replace("INTO t", "INTO u"), 60),
    ],
)
def test_an_insert_through_input_that_fails_stores_nothing_and_leaves_the_connection_usable(
    client: Client, sql: str, code: int
) -> None:
    client.execute("CREATE TABLE t (a Int32, b String) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(ServerException) as caught:
        client.execute(sql, [(0, "x"), (1, "y")])
    assert caught.value.code == code
    assert client.execute("SELECT count() FROM t") == [(0,)]


def test_kill_query_ends_an_insert(connect: Callable[..., Client]) -> None:
    client, other = connect(), connect()
    client.execute("CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a")
    ended: list[int] = []

    def insert() -> None:
        try:
            other.execute(f"INSERT INTO t {SLOW}")
        except ServerException as error:
            ended.append(error.code)

    thread = threading.Thread(target=insert, daemon=True)
    thread.start()
    running = "SELECT query_id FROM system.processes WHERE startsWith(query, 'INSERT INTO t ')"
    until(lambda: bool(client.execute(running)), "the INSERT")
    ((found,),) = client.execute(running)
    killed = client.execute("KILL QUERY WHERE query_id = %(id)s SYNC", {"id": found})
    assert (killed[0][0], client.execute(running)) == ("finished", [])
    thread.join()
    assert ended == [394]


def test_a_database_is_selected_by_use(client: Client) -> None:
    client.execute("USE system")
    assert client.execute("SELECT currentDatabase()") == [("system",)]


def test_cancel_ends_a_query_and_leaves_the_connection_usable(client: Client) -> None:
    progress = client.execute_with_progress(SLOW)
    client.cancel()
    del progress
    assert client.execute("SELECT 1") == [(1,)]


def test_a_slow_query_holds_up_neither_inserts_nor_queries(connect: Callable[..., Client]) -> None:
    slow, fast = connect(), connect()
    fast.execute("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
    rows = slow.execute_iter(SLOW)
    fast.execute("INSERT INTO t VALUES", [(1,)])
    assert fast.execute("SELECT count() FROM t") == [(1,)]
    assert next(rows) == (0,)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("/* a */ SELECT 1 FORMAT CSV;", statements.Select("SELECT 1")),
        ("-- a\n(SELECT 1)", statements.Select("(SELECT 1)")),
        ("show tables", statements.ReadStatement("show tables")),
        ("INSERT INTO t VALUES", statements.Insert("t", "*", "")),
        ("insert into d.`t x` (a, `b)`) values", statements.Insert("d.`t x`", "a, `b)`", "")),
        ("INSERT INTO t (a) FORMAT Native", statements.Insert("t", "a", "")),
        (
            "INSERT INTO t SETTINGS async_insert = 1, x='y, z' VALUES",
            statements.Insert("t", "*", "SETTINGS async_insert = 1, x='y, z' "),
        ),
        (
            "INSERT INTO t SELECT 'input(''x'')', a FROM input ( 'a Enum8(\\'x\\' = 1)' ) WHERE a FORMAT Native",
            statements.InsertInput("INSERT INTO t SELECT 'input(''x'')', a FROM ", "a Enum8('x' = 1)", " WHERE a"),
        ),
        ("INSERT INTO t SELECT 'input(1)'", statements.Other("INSERT INTO t SELECT 'input(1)'")),
        ("INSERT INTO t VALUES (1)", statements.Other("INSERT INTO t VALUES (1)")),
        ("INSERT INTO t (SELECT 1)", statements.Other("INSERT INTO t (SELECT 1)")),
        ("INSERT INTO t SELECT 1", statements.Other("INSERT INTO t SELECT 1")),
    ],
)
def test_a_statement_is_recognised(sql: str, expected: statements.Statement) -> None:
    assert statements.parse(sql) == expected
