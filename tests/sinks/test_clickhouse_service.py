"""What happens when ClickHouse is away, says no, or loses an answer."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final

import pytest
from clickhouse_driver import errors

from embedded.manners import free_port
from embedded.processes import Running
from sinks.clickhouse.config import Config
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rows import telemetry_block
from sinks.clickhouse.service import Service, may_pass
from sinks.clickhouse.writer import ClickHouseSink
from sinks.contract import SinkRefused, SinkUnavailable
from tests.sinks.samples import TOPIC_ID, report, telemetry
from tests.support.platform import Ask

A_DAY_S: Final = 86_400.0
"""Nothing that a test waits for ends by a deadline as far away as that."""
BLOCK = telemetry_block(telemetry(report(), report()), TOPIC_ID)


def test_a_server_that_is_away_makes_the_sink_unavailable_after_the_deadline() -> None:
    config = Config(port=free_port(), deadline_s=0.5)
    said = rf"ClickHouse at {config.address} does not answer; is it running\? .* \(tried for 0\.5 s\)"
    with pytest.raises(SinkUnavailable, match=said):
        ClickHouseSink(config).write(BLOCK)


def test_closing_ends_the_wait_for_a_server_that_is_away() -> None:
    waits = threading.Event()
    service = Service(Config(port=free_port(), deadline_s=A_DAY_S), tell=lambda sentence: waits.set())

    def close() -> None:
        waits.wait()
        service.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(SinkUnavailable, match=r"correct host and port$"):
        service.query("SELECT 1")
    closer.join()


def test_closing_ends_the_wait_for_an_answer_that_does_not_come() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        config = Config(port=deaf.getsockname()[1], request_timeout_s=A_DAY_S, deadline_s=A_DAY_S)
        sink = ClickHouseSink(config)
        accepted: list[socket.socket] = []

        def close() -> None:
            accepted.append(deaf.accept()[0])
            accepted[0].recv(1)
            sink.close()

        closer = threading.Thread(target=close)
        closer.start()
        with pytest.raises(SinkUnavailable, match=r"correct host and port$"):
            sink.write(BLOCK)
        closer.join()
        accepted[0].close()


def test_a_wrong_password_is_refused_without_telling_it(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = replace(config, password="hunter2-wrong")
    with pytest.raises(SinkRefused) as refused:
        ClickHouseSink(wrong).write(BLOCK)
    assert str(refused.value) == (
        f"ClickHouse at {config.address} refuses user 'default'; check user, password and grants"
    )
    assert refused.value.__cause__ is None
    assert "hunter2" not in caplog.text + repr(wrong) + repr(refused.value)


def test_missing_tables_are_refused_with_what_to_run(empty: Config) -> None:
    with pytest.raises(SinkRefused, match="run `emberline migrate`"):
        ClickHouseSink(empty).write(BLOCK)
    migrate(empty, [])
    with pytest.raises(SinkRefused, match="run `emberline migrate`"):
        ClickHouseSink(empty).stored_offsets("emberline.telemetry", TOPIC_ID, [0])


def test_a_sentence_holds_no_password_and_no_stack_trace(config: Config) -> None:
    service = Service(config)
    with pytest.raises(SinkRefused) as refused:
        service.query(f"SELECT unknown_function_of_{'x' * 3}('{config.password}')")
    assert config.password not in str(refused.value)
    assert "Stack trace" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("code", [252, 241, 243, 202, 242, 999, 319, 236])
def test_what_an_operator_can_mend_is_tried_again(code: int) -> None:
    assert may_pass(errors.ServerException("", code))


@pytest.mark.parametrize("code", [60, 81, 16, 53, 62, 516, 497, 99999])
def test_what_will_never_work_is_not_tried_again(code: int) -> None:
    assert not may_pass(errors.ServerException("", code))


def test_a_user_that_may_only_read_is_refused_with_what_to_do(config: Config) -> None:
    insert = "INSERT INTO claims (topic) SELECT 'x'"
    with pytest.raises(SinkRefused, match="error 164: its user may only read; set readonly to 0 in the user's profile"):
        Service(config).call(lambda client: client.execute(insert, settings={"readonly": 1}))


@pytest.mark.parametrize(("tick_s", "tellings"), [(1.0, 1), (11.0, 2)])
def test_what_a_call_waits_for_is_told_once_in_a_while_not_at_each_try(tick_s: float, tellings: int) -> None:
    told: list[str] = []
    ticks = itertools.count(0.0, tick_s)
    config = Config(port=free_port(), deadline_s=2.5 * tick_s)
    with pytest.raises(SinkUnavailable, match=rf"\(tried for {config.deadline_s:g} s\)"):
        Service(config, clock=lambda: next(ticks), tell=told.append).query("SELECT 1")
    assert len(told) == tellings
    assert told[0] == (
        f"ClickHouse at {config.address} does not answer; is it running? Start it, or correct host and port; "
        f"trying again for {1.5 * tick_s:.0f} s"
    )


def test_a_broken_connection_is_tried_again() -> None:
    assert all(map(may_pass, (EOFError(), ConnectionResetError(), errors.NetworkError(), errors.SocketTimeoutError())))


@contextmanager
def deaf_proxy(server: Running, deaf_connections: int) -> Iterator[int]:
    """A port before the server. Of the first connections, whatever the server says after an INSERT's data is lost."""
    listener = socket.create_server(("127.0.0.1", 0))
    left = [deaf_connections]

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            upstream = socket.create_connection((server.host, server.port))
            deaf = left[0] > 0
            left[0] -= 1
            inserting = threading.Event()
            threading.Thread(target=pump, args=(client, upstream, inserting, False), daemon=True).start()
            threading.Thread(target=pump, args=(upstream, client, inserting, deaf), daemon=True).start()

    def pump(source: socket.socket, target: socket.socket, inserting: threading.Event, deaf: bool) -> None:
        try:
            while data := source.recv(65536):
                if b"LY-1" in data:
                    inserting.set()
                if deaf and inserting.is_set():
                    break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()


def test_a_run_whose_answer_was_lost_is_stored_once(config: Config, server: Running, query: Ask) -> None:
    with deaf_proxy(server, deaf_connections=1) as port:
        sink = ClickHouseSink(replace(config, port=port))
        sink.write(BLOCK)
        sink.close()
    assert query("SELECT count(), uniqExact(topic, topic_id, partition, offset, index) FROM telemetry") == [(2, 2)]


def test_threads_share_a_sink(sink: ClickHouseSink, query: Ask) -> None:
    def write(partition: int) -> None:
        for first in (0, 2):
            batch = telemetry(report(), report(), partition=partition, first=first)
            sink.write(telemetry_block(batch, TOPIC_ID))

    threads = [threading.Thread(target=write, args=(partition,)) for partition in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert query("SELECT count(), uniqExact(partition, offset) FROM telemetry") == [(16, 16)]
