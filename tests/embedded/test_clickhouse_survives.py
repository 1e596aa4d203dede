"""The server outlives bad clients, and what it acknowledged outlives the server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.errors import ServerException

from embedded.processes import Running, StartFailedError, running_clickhouse
from tests.embedded.conftest import SLOW
from tests.support.processes import until


def _half_an_insert(client: Client) -> None:
    """Send a whole block and then vanish, before the empty block that would end the INSERT."""
    connection = client.connection
    connection.force_connect()
    connection.send_query("INSERT INTO t VALUES")
    connection.send_external_tables(None)
    sample = client.receive_sample_block()
    connection.send_data(ColumnOrientedBlock(sample.columns_with_types, [[1, 2, 3]]))
    connection.disconnect()


def test_half_an_insert_lands_nothing(connect: Callable[..., Client], clickhouse_log: Path) -> None:
    client = connect()
    client.execute("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
    lines = clickhouse_log.read_text().count("middle of a statement")
    _half_an_insert(connect())
    until(lambda: clickhouse_log.read_text().count("middle of a statement") > lines, "a line in the log")
    assert client.execute("SELECT count() FROM t") == [(0,)]


_BUSY = """
import sys, threading, time
from clickhouse_driver import Client
def insert():
    client = Client("127.0.0.1", int(sys.argv[1]), database=sys.argv[2])
    while True: client.execute("INSERT INTO t VALUES", [(n, "x" * 50) for n in range(500)])
def select():
    client = Client("127.0.0.1", int(sys.argv[1]), database=sys.argv[2])
    while True: client.execute("SELECT n, max(s), count() FROM t GROUP BY n")
threads = [threading.Thread(target=one, daemon=True) for one in (insert, insert, insert, insert, select, select)]
for one in threads: one.start()
for one in threads: one.join()
"""


def test_clients_that_are_killed_in_the_middle_of_anything_do_others_no_harm(
    connect: Callable[..., Client], clickhouse: Running
) -> None:
    client = connect()
    client.execute("CREATE TABLE t (n Int64, s String) ENGINE = MergeTree ORDER BY n")
    command = [sys.executable, "-c", _BUSY, str(clickhouse.port), client.execute("SELECT currentDatabase()")[0][0]]

    def rows() -> int:
        return int(client.execute("SELECT count() FROM t")[0][0])

    for _ in range(6):
        enough = rows() + 20_000
        busy = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
        while rows() < enough:
            assert all(one.poll() is None for one in busy)
        for one in busy:
            one.kill()
            one.wait()
    # Before connections were kept, chDB would take no statement from anyone after some rounds.
    assert connect().execute("SELECT count() % 500 FROM t") == [(0,)]


def test_what_a_client_set_or_made_for_itself_is_not_there_for_the_next(
    clickhouse: Running, connect: Callable[..., Client]
) -> None:
    nothing = connect().execute("SELECT getSetting('max_threads'), getSetting('readonly'), currentDatabase()")
    for statements in (
        ["SET max_threads = 7"],
        ["SET readonly = 1"],
        ["CREATE TEMPORARY TABLE mine (a Int8)"],
        ["USE system"],
    ):
        with Client(clickhouse.host, clickhouse.port) as other:
            for statement in statements:
                other.execute(statement)
    again = connect()
    found = again.execute("SELECT getSetting('max_threads'), getSetting('readonly'), currentDatabase()")
    assert found == nothing
    with pytest.raises(ServerException, match="mine"):
        again.execute("SELECT * FROM mine")


def test_clients_at_once_lose_nothing(connect: Callable[..., Client]) -> None:
    clients = [connect() for _ in range(4)]
    clients[0].execute("CREATE TABLE t (who Int8, n Int64) ENGINE = MergeTree ORDER BY n")

    def insert(who: int) -> None:
        for batch in range(10):
            rows = [(who, batch * 100 + n) for n in range(100)]
            clients[who].execute("INSERT INTO t VALUES", rows)
            clients[who].execute("SELECT count() FROM t")

    threads = [threading.Thread(target=insert, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = clients[0].execute("SELECT who, count(), uniqExact(n) FROM t GROUP BY who ORDER BY who")
    assert found == [(who, 1000, 1000) for who in range(4)]


@pytest.mark.parametrize(
    "garbage",
    [b"\xff" * 1000, b"\x00" + b"\xff" * 9 + b"\x01", b"GET / HTTP/1.1\r\n\r\n", b"\x02\x00", b""],
)
def test_garbage_on_the_port_does_no_harm(
    clickhouse: Running, client: Client, clickhouse_log: Path, garbage: bytes
) -> None:
    lines = len(clickhouse_log.read_text().splitlines())
    with socket.create_connection((clickhouse.host, clickhouse.port)) as sock:
        sock.sendall(garbage)
        sock.shutdown(socket.SHUT_WR)
        answer = sock.recv(4096)
    assert (b"not HTTP" in answer) == garbage.startswith(b"GET")
    assert client.execute("SELECT 1") == [(1,)]
    assert len(clickhouse_log.read_text().splitlines()) <= lines + 1


def test_a_query_whose_client_is_gone_is_stopped(connect: Callable[..., Client]) -> None:
    gone, client = connect(), connect()
    gone.connection.force_connect()
    gone.connection.send_query(SLOW)
    gone.connection.send_external_tables(None)
    running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow(0.1)%'"
    until(lambda: client.execute(running) == [(1,)], "the query")
    gone.connection.disconnect()
    until(lambda: client.execute(running) == [(0,)], "its end")


def test_what_was_acknowledged_survives_sigkill_and_a_second_start(tmp_path: Path) -> None:
    with running_clickhouse(tmp_path / "data", log=tmp_path / "log") as first:
        with Client(first.host, first.port) as client:
            client.execute("CREATE DATABASE d")
            client.execute("CREATE TABLE d.t (a Int64) ENGINE = MergeTree ORDER BY a")
            client.execute("INSERT INTO d.t VALUES", [(n,) for n in range(1000)])
        os.kill(first.pid, signal.SIGKILL)
    with (
        running_clickhouse(tmp_path / "data", log=tmp_path / "log", password="secret") as second,
        Client(second.host, second.port, password="secret") as client,
    ):
        assert client.execute("SELECT count(), sum(a) FROM d.t") == [(1000, 499_500)]


def test_what_hinders_a_start_is_said_in_one_sentence(clickhouse: Running, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with running_clickhouse(tmp_path / "used", log=tmp_path / "log"):
        for data_dir, port, sentence in (
            (tmp_path / "free", clickhouse.port, "Address already in use"),
            (tmp_path / "used", 0, "Another server already uses the data directory"),
            (tmp_path / "file", 0, "Cannot write to the data directory"),
        ):
            refused = running_clickhouse(data_dir, log=tmp_path / "refused", port=port)
            with pytest.raises(StartFailedError, match=sentence), refused:
                pass
    assert "Traceback" not in (tmp_path / "refused").read_text()


def test_sigterm_lets_an_insert_end_and_exits_with_0(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "embedded.clickhouse", "--port", "0", "--http-port", "0", "--no-password"]
    with subprocess.Popen([*command, "--data-dir", str(tmp_path)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = int(server.stdout.readline().split("listening on ")[1].split(",")[0].split(":")[1])
        slow, busy = Client("127.0.0.1", port), Client("127.0.0.1", port)
        busy.execute("CREATE DATABASE d")
        busy.execute("CREATE TABLE d.t (a Int64) ENGINE = MergeTree ORDER BY a")
        insert = "INSERT INTO d.t SELECT sleepEachRow(0.1) FROM numbers(8) SETTINGS max_block_size = 1"
        errors: list[Exception] = []

        def run() -> None:
            try:
                slow.execute(insert)
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        running = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT%'"
        until(lambda: busy.execute(running) == [(1,)], "the INSERT")
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        thread.join()
        assert errors == []
