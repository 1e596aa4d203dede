"""ClickHouse's HTTP interface of the embedded server: what any client may count on, and clickhouse-connect itself."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client as HttpClient
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_driver import Client

from embedded.processes import Running, running_clickhouse
from tests.embedded.http import ask
from tests.support.processes import until

OWN, READERS = "of-the-program", "of-people"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("http")
    with running_clickhouse(folder / "data", folder / "log", password=OWN, reader_password=READERS) as running:
        with Client(running.host, running.port, password=OWN) as client:
            client.execute("CREATE DATABASE d")
        yield running


@pytest.fixture
def table(server: Running) -> Iterator[str]:
    with Client(server.host, server.port, "d", password=OWN) as client:
        client.execute("CREATE TABLE t (a Int64, s LowCardinality(String)) ENGINE = MergeTree ORDER BY a")
        yield "d.t"
        client.execute("DROP TABLE t")


def rows(server: Running, sql: str) -> list[list[object]]:
    answer = ask(server, sql, "reader", READERS, parameters={"default_format": "JSONCompact"})
    assert answer.status == 200, answer.text
    found: list[list[object]] = json.loads(answer.data)["data"]
    return found


def test_it_says_that_it_is_there_to_anybody(server: Running) -> None:
    for path in ("/ping", "/"):
        connection = http.client.HTTPConnection(server.host, server.http_port)
        connection.request("GET", path)
        assert connection.getresponse().read() == b"Ok.\n"
        connection.close()


@pytest.mark.parametrize("way", ["headers", "basic", "url"])
def test_a_user_is_known_by_headers_by_basic_authentication_and_by_the_url(server: Running, way: str) -> None:
    basic = "Basic " + base64.b64encode(f"reader:{READERS}".encode()).decode()
    headers = {
        "headers": {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": READERS},
        "basic": {"Authorization": basic},
        "url": {},
    }[way]
    connection = http.client.HTTPConnection(server.host, server.http_port)
    who = f"&user=reader&password={READERS}" if way == "url" else ""
    connection.request("GET", f"/?query=SELECT%201{who}", headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"1\n")
    connection.close()


@pytest.mark.parametrize(
    ("sql", "body", "data_format", "found"),
    [
        ("SELECT 1 AS x, 'a' AS y", "", "TabSeparated", b"1\ta\n"),
        ("", "SELECT 1 AS x FORMAT CSVWithNames", "CSVWithNames", b'"x"\n1\n'),
        ("SELECT 1 AS x", "FORMAT JSONEachRow", "JSONEachRow", b'{"x":1}\n'),
        ("select 2 format TSV;", "", "TSV", b"2\n"),
        ("SELECT 3 AS x WHERE 0", "", "TabSeparated", b""),
    ],
)
def test_a_query_is_in_the_url_or_in_the_body(
    server: Running, sql: str, body: str, data_format: str, found: bytes
) -> None:
    answer = ask(server, sql, "reader", READERS, "POST", body.encode())
    assert (answer.status, answer.data, answer.headers["X-ClickHouse-Format"]) == (200, found, data_format)


def test_parameters_settings_and_database_come_in_the_url(server: Running, table: str) -> None:
    given = {
        "param_x": "4",
        "param_s": "a'b\\tc",
        "database": "d",
        "max_block_size": "7",
        "default_format": "JSONCompact",
    }
    sql = "SELECT {x:Int8}, {s:String}, currentDatabase(), getSetting('max_block_size') FROM (SELECT count() FROM t)"
    answer = ask(server, sql, "default", OWN, "POST", parameters=given)
    assert json.loads(answer.data)["data"] == [[4, "a'b\tc", "d", 7]]
    nothing_left = ask(server, "SELECT getSetting('max_block_size') = 7, currentDatabase()", "default", OWN, "POST")
    assert nothing_left.data == b"0\tdefault\n"


@pytest.mark.parametrize(
    ("sql", "body"),
    [
        ("INSERT INTO d.t FORMAT CSV", b'1,"x"\n2,"y"\n'),
        ("INSERT INTO d.t (s, a) FORMAT JSONEachRow", b'{"a": 1, "s": "x"}\n{"a": 2, "s": "y"}'),
        ("INSERT INTO d.t VALUES", b"(1, 'x'), (2, 'y')"),
        ("", b"INSERT INTO d.t FORMAT TSV\n1\tx\n2\ty\n"),
        ("", b"INSERT INTO d.t VALUES (1, 'x'), (2, 'y')"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_rows_come_in_the_body(server: Running, table: str, sql: str, body: bytes, packed: bool) -> None:
    sent = gzip.compress(body) if packed else body
    answer = ask(server, sql, "default", OWN, "POST", sent, {"Content-Encoding": "gzip"} if packed else {})
    assert (answer.status, answer.text) == (200, "")
    assert rows(server, "SELECT * FROM d.t ORDER BY a") == [[1, "x"], [2, "y"]]


def test_a_body_in_pieces_is_read_whole(server: Running, table: str) -> None:
    connection = http.client.HTTPConnection(server.host, server.http_port)
    headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": OWN}
    body = (f"{number}\tx\n".encode() for number in range(100))
    connection.request("POST", "/?query=INSERT%20INTO%20d.t%20FORMAT%20TSV", body, headers, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert rows(server, "SELECT count() FROM d.t") == [[100]]


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT nothing", 400, "47"),
        ("SELEC 1", 403, "497"),
        ("SELECT (", 400, "62"),
        ("SELECT * FROM d.nothing", 404, "60"),
        ("SELECT * FROM nothing.x", 404, "81"),
        ("INSERT INTO d.t FORMAT TSV", 500, "164"),
    ],
)
def test_an_error_has_its_code(server: Running, sql: str, status: int, code: str) -> None:
    answer = ask(server, sql, "reader", READERS, "POST")
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_get_only_reads(server: Running, table: str) -> None:
    answer = ask(server, "INSERT INTO d.t VALUES (1, 'x')", "default", OWN, "GET")
    assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
    assert rows(server, "SELECT count() FROM d.t") == [[0]]


def test_an_answer_is_packed_where_both_want_it(server: Running) -> None:
    headers, wanted = {"Accept-Encoding": "gzip, br"}, {"enable_http_compression": "1"}
    packed = ask(server, "SELECT 'a'", "reader", READERS, headers=headers, parameters=wanted)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == b"a\n"
    assert ask(server, "SELECT 'a'", "reader", READERS, headers=headers).data == b"a\n"


def test_what_is_no_request_is_answered_and_the_next_is_served(server: Running) -> None:
    for sent in (b"\x00\x01\x02\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"BREW / HTTP/1.1\r\n\r\n"):
        with socket.create_connection((server.host, server.http_port)) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            assert b" 4" in (told := connection.recv(4096)) or b" 5" in told, sent
    assert ask(server, "SELECT 1", "reader", READERS).data == b"1\n"


def test_a_query_whose_client_is_gone_is_stopped(server: Running) -> None:
    running = (
        "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(0.1)%' AND query NOT LIKE '%processes%'"
    )
    slow = "SELECT%20sum(sleepEachRow(0.1))%20FROM%20numbers(1000000)%20SETTINGS%20max_block_size%3D1"
    with socket.create_connection((server.host, server.http_port)) as gone:
        who = f"X-ClickHouse-User: default\r\nX-ClickHouse-Key: {OWN}\r\n"
        gone.sendall(f"POST /?query={slow} HTTP/1.1\r\nHost: x\r\n{who}\r\n".encode())
        until(lambda: rows(server, running) == [[1]], "the query")
    until(lambda: rows(server, running) == [[0]], "its end")


@pytest.fixture
def connected(server: Running) -> Iterator[HttpClient]:
    client = clickhouse_connect.get_client(
        host=server.host, port=server.http_port, username="default", password=OWN, database="d"
    )
    yield client
    client.close()


@pytest.mark.parametrize("compress", [True, False, "gzip", "lz4", "zstd"])
def test_clickhouse_connect_stores_and_asks(server: Running, table: str, compress: bool | str) -> None:
    own, reader = (
        clickhouse_connect.get_client(
            host=server.host, port=server.http_port, username=user, password=password, database="d", compress=compress
        )
        for user, password in (("default", OWN), ("reader", READERS))
    )
    assert own.insert("t", [[number, f"s{number % 3}"] for number in range(1000)], ["a", "s"]).written_rows == 1000
    for client in (own, reader):
        assert client.query("SELECT count(), sum(a), max(s) FROM t").result_rows == [(1000, 499_500, "s2")]
        assert client.query("SELECT * FROM t WHERE a < 0").result_rows == []
        asked = {"a": 7, "ts": datetime(2026, 1, 1, tzinfo=UTC)}
        found = client.query("SELECT s, toYear({ts:DateTime}) FROM t WHERE a = {a:Int64}", parameters=asked)
        assert found.result_rows == [("s1", 2026)]
        assert client.command("SELECT 1") == 1
        with client.query_row_block_stream("SELECT number FROM numbers(200000)") as blocks:
            assert sum(map(len, blocks)) == 200_000
        client.close()


def test_clickhouse_connect_hears_of_errors(server: Running, connected: HttpClient) -> None:
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        connected.query("SELECT * FROM nothing")
    with pytest.raises(DatabaseError, match="AUTHENTICATION_FAILED"):
        clickhouse_connect.get_client(host=server.host, port=server.http_port, username="reader", password="wrong")
    reader = clickhouse_connect.get_client(host=server.host, port=server.http_port, username="reader", password=READERS)
    with pytest.raises(DatabaseError, match="READONLY"):
        reader.command("CREATE DATABASE e")
    reader.close()
