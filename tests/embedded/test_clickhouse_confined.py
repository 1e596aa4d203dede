"""No statement of any user reaches the machine's files, its programs or its network."""
# ruff: noqa: S608

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import Error, ServerException

from embedded.processes import Running, running_clickhouse
from tests.embedded import attempts
from tests.embedded.http import ask

PASSWORDS = {"default": "of-the-program", "reader": "of-people"}


@dataclass
class Machine:
    """A server, and what is around it: a file to read, a folder to write to, a port to connect to."""

    server: Running
    secret: Path
    out: Path
    port: socket.socket

    @property
    def around(self) -> tuple[Path, Path, int]:
        return self.secret, self.out, self.port.getsockname()[1]

    def check_untouched(self, attempt: str, told: str) -> None:
        assert attempts.SECRET not in told, attempt
        assert list(self.out.iterdir()) == [], attempt
        with pytest.raises(BlockingIOError):  # nobody waits to be accepted
            self.port.accept()
        assert self.server.status is None, attempt

    def client(self, user: str) -> Client:
        return Client(self.server.host, self.server.port, user=user, password=PASSWORDS[user])


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    (folder / "out").mkdir()
    (folder / "out").chmod(0o777)
    (folder / "secret").write_text(attempts.SECRET)
    own, readers = PASSWORDS.values()
    with (
        socket.create_server(("127.0.0.1", 0)) as port,
        running_clickhouse(folder / "data", log=folder / "log", password=own, reader_password=readers) as server,
    ):
        port.setblocking(False)
        made = Machine(server, folder / "secret", folder / "out", port)
        with made.client("default") as client:
            client.execute("CREATE DATABASE d")
            client.execute("CREATE TABLE d.s (x String) ENGINE = MergeTree ORDER BY tuple()")
            client.execute("CREATE TABLE d.a (x Int64) ENGINE = Memory")
            client.execute("INSERT INTO d.a VALUES", [(1,)])
        yield made


def tried(machine: Machine, user: str, attempt: str) -> str:
    """What the native protocol answers to a statement."""
    told = ""
    with machine.client(user) as client:
        client.execute("USE d")
        with suppress(EOFError):
            try:
                told = str(client.execute(attempt))
            except Error as error:
                told = str(error)
        for table in client.execute("SHOW TABLES FROM d"):
            with suppress(ServerException):
                told += str(client.execute(f"SELECT * FROM d.`{table[0]}`"))
    return told


@pytest.mark.parametrize("kind", ["functions", "settings", "writes"])
@pytest.mark.parametrize("user", PASSWORDS)
def test_no_statement_reaches_beyond_the_tables(machine: Machine, user: str, kind: str) -> None:
    for attempt in getattr(attempts, kind)(*machine.around):
        machine.check_untouched(attempt, tried(machine, user, attempt))
        for method in ("GET", "POST"):
            answer = ask(machine.server, attempt, user, PASSWORDS[user], method, parameters={"database": "d"})
            machine.check_untouched(attempt, answer.text)


def test_no_way_to_send_a_statement_goes_around(machine: Machine) -> None:
    name = f"fi' || 'le(''{machine.secret}'')"
    with machine.client("reader") as client:
        for settings in ({"readonly": 0}, {"format_template_resultset": str(machine.secret)}, {"profile": "default"}):
            with suppress(ServerException):
                told = str(client.execute(f"SELECT file('{machine.secret}')", settings=settings))
                machine.check_untouched(str(settings), told)
    for user, password in PASSWORDS.items():
        for parameters in (
            {"readonly": "0"},
            {"default_format": "Template", "format_template_resultset": str(machine.secret)},
            {"param_f": "file", "param_s": f"x Int, y String DEFAULT file('{machine.secret}')", "param_n": name},
        ):
            for sql in (
                f"SELECT file('{machine.secret}')",
                "SELECT 1",
                f"SELECT {{f:Identifier}}('{machine.secret}')",
                "SELECT * FROM format(JSONEachRow, {s:String}, '{\"x\": 1}')",
                f"SELECT * FROM default.{{f:Identifier}}('{machine.secret}')",
            ):
                answer = ask(machine.server, sql, user, password, "POST", parameters=parameters)
                machine.check_untouched(f"{sql} {parameters}", answer.text)
        body = f"INSERT INTO d.s FORMAT Template\n{machine.secret}".encode()
        answer = ask(machine.server, "", user, password, method="POST", body=body)
        machine.check_untouched("a template as rows", answer.text)
    inserted = (
        "INSERT INTO d.s SELECT y FROM input('x Int64, y String DEFAULT fi\\x6ce(\\'" + str(machine.secret) + "\\')')"
    )
    with machine.client("default") as client, suppress(ServerException):
        client.execute(inserted, [(1,)])
    machine.check_untouched(inserted, tried(machine, "reader", "SELECT * FROM d.s"))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO d.a VALUES (2)",
        "CREATE TABLE d.b (x Int64) ENGINE = Memory",
        "CREATE TEMPORARY TABLE b (x Int64)",
        "DROP TABLE d.a",
        "TRUNCATE TABLE d.a",
        "ALTER TABLE d.a DELETE WHERE 1",
        "KILL QUERY WHERE 1",
        "KILL QUERY WHERE 1 SYNC",
        "OPTIMIZE TABLE d.a",
        "SET readonly = 0",
        "SET max_threads = 1",
        "CREATE DATABASE e",
        "SELECT 1 PARALLEL WITH DROP TABLE d.a",
        "WITH 1 AS x INSERT INTO d.a SELECT x",
    ],
)
def test_people_change_nothing(machine: Machine, sql: str) -> None:
    with machine.client("reader") as client:
        with pytest.raises(ServerException):
            client.execute(sql)
        assert client.execute("SELECT x FROM d.a") == [(1,)]
        assert client.execute("SHOW DATABASES LIKE 'e'") == []
    assert ask(machine.server, sql, "reader", PASSWORDS["reader"], method="POST").status >= 400


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count() FROM d.a",
        "WITH 1 AS one SELECT x + one FROM d.a",
        "SHOW TABLES FROM d",
        "SHOW CREATE TABLE d.a",
        "DESCRIBE TABLE d.a",
        "EXISTS TABLE d.a",
        "EXPLAIN SELECT x FROM d.a",
        "SELECT name FROM system.columns WHERE database = 'd'",
        "SELECT number FROM numbers(3)",
    ],
)
def test_people_may_read(machine: Machine, sql: str) -> None:
    with machine.client("reader") as client:
        assert client.execute(sql) != []


def test_a_wrong_password_is_refused_with_the_code_of_clickhouse(machine: Machine) -> None:
    for user, password in (("default", ""), ("default", PASSWORDS["reader"]), ("reader", ""), ("nobody", ""), ("", "")):
        with (
            Client(machine.server.host, machine.server.port, user=user, password=password) as client,
            pytest.raises(ServerException) as caught,
        ):
            client.execute("SELECT 1")
        assert caught.value.code == 516
        answer = ask(machine.server, "SELECT 1", user, password)
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")


def test_only_its_own_user_may_look_into_the_data(machine: Machine) -> None:
    data = machine.secret.parent / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


_CONFINED = """
import socket, subprocess, sys
from pathlib import Path
from embedded.clickhouse.confine import confine
def tried(do):
    try:
        do()
    except PermissionError:
        return "refused"
    return "done"
data, secret, out, port = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
if not confine(data):
    print("the kernel cannot")
    sys.exit()
(data / "own").write_text("own")
print(tried(secret.read_text), tried((out / "x").touch), tried(Path("/proc/self/environ").read_text),
      tried(lambda: socket.create_connection(("127.0.0.1", port))), tried(lambda: subprocess.run(["/bin/true"])))
"""


def test_the_kernel_holds_what_all_else_let_through(machine: Machine, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CONFINED, str(tmp_path), *map(str, machine.around)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if told == "the kernel cannot":
        assert "cannot confine" in (machine.secret.parent / "log").read_text()
        pytest.skip("this kernel has no Landlock")
    assert told == " ".join(["refused"] * 5)
    machine.check_untouched("confined", told)


def test_without_a_password_it_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "embedded.clickhouse", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr == "There is no password; set EMBERLINE_CLICKHOUSE_PASSWORD.\n"


_LOOKS = """
import sys
from pathlib import Path
from embedded.clickhouse.confine import confine
if not confine(Path(sys.argv[1])):
    print("the kernel cannot")
    sys.exit()
print(len(Path("/proc/self/auxv").read_bytes()) > 0)
"""


def test_chdb_may_read_what_the_kernel_told_the_process(tmp_path: Path) -> None:
    """Else it looks for that behind the environment, and crashes where that has moved: by how many variables it has."""
    told = subprocess.run([sys.executable, "-c", _LOOKS, str(tmp_path)], capture_output=True, text=True)
    if told.stdout.strip() == "the kernel cannot":
        pytest.skip("this kernel has no Landlock")
    assert told.stdout.strip() == "True", told.stderr
