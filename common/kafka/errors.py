"""What to tell the operator when Kafka fails: one sentence, for workers and commands alike.

Whatever is wrong with a connection, aiokafka says only that no broker was found, and logs the reason. So when a client
has failed, each broker is asked once more, by a connection of our own. What comes of that becomes the sentence.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from aiokafka.conn import create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from common.kafka.clients import NoTokenError, security
from common.settings import Settings, host_port, variable

ANSWER_MS: Final = 5_000
"""A broker that takes longer to answer is away [ours]."""
_AWAY: Final = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError)
_RIGHTS: Final = {
    TopicAuthorizationFailedError: "topic",
    GroupAuthorizationFailedError: "group",
    TransactionalIdAuthorizationFailed: "transactional id",
}
_Address = tuple[str, int]


class _NotLoggedInError(Exception):
    """The broker said which requests it knows, and answered none of them.

    It closes the connection, or, after a token that it refuses, sends what reads as an answer without any broker: the
    client takes the login for done before it has heard of it.
    """


async def why(error: KafkaError, settings: Settings) -> str:
    """The sentence for an error of a client that was made from these settings."""
    if isinstance(error, ClusterAuthorizationFailedError):
        # All that is asked of the cluster is to be a producer, which whoever may write to any topic may be.
        return _no_right(settings, "write to any topic")
    for kind, resource in _RIGHTS.items():
        if isinstance(error, kind):
            names = _names(error)
            return _no_right(settings, f"use the {resource} {names}" if names else f"use a {resource}")
    reason = await _why_away(settings) if isinstance(error, _AWAY) else None
    return reason or f"Kafka: {error}"


def no_kafka(settings: Settings) -> str:
    """What to tell when no broker answers."""
    here = "is it running? `emberline run` starts one here, EMBERLINE_KAFKA names another"
    return f"no Kafka answers at {settings.kafka}; {here}"


def _names(error: KafkaError) -> str:
    told = [sorted(one) if isinstance(one, set | frozenset | list | tuple) else [str(one)] for one in error.args]
    return ", ".join(name for one in told for name in one)


def _no_right(settings: Settings, refused: str) -> str:
    return f"Kafka does not let {_who(settings)} {refused}; `emberline acls` prints the rights of every role"


def _who(settings: Settings) -> str:
    if settings.kafka_user:
        return f"user {settings.kafka_user!r}"
    if settings.kafka_sasl:
        return f"the user of the token in {settings.kafka_token_file}"
    if settings.kafka_certificate:
        return f"the user of the certificate {settings.kafka_certificate}"
    return "a client that does not log in"


async def _why_away(settings: Settings) -> str | None:
    """The first reason found at the brokers of the settings, then at those that they name; None where all answer."""
    reasons: list[str | None] = []
    named: set[_Address] = set()
    for broker in map(host_port, settings.kafka.split(",")):
        try:
            named |= await _ask(*broker, settings)
        except (KafkaError, OSError, TimeoutError, _NotLoggedInError) as error:
            reasons.append(await _reason(error, *broker, settings))
    if not named:
        return next(filter(None, reasons), no_kafka(settings))
    for host, port in sorted(named):
        try:
            await _ask(host, port, settings)
        except (KafkaError, OSError, TimeoutError, _NotLoggedInError) as error:
            return await _reason(error, host, port, settings) or (
                f"Kafka at {settings.kafka} names the broker {host}:{port}, and that does not answer; "
                "start it, or correct its advertised.listeners"
            )
    return None


async def _ask(host: str, port: int, settings: Settings) -> set[_Address]:
    """The brokers that a broker names."""
    connection = await create_conn(host, port, request_timeout_ms=ANSWER_MS, **security(settings))
    try:
        answer = await connection.send(MetadataRequest([]))
    except KafkaConnectionError as error:
        raise _NotLoggedInError from error
    finally:
        connection.close()
    if not answer.brokers:
        raise _NotLoggedInError
    return {(broker[1], broker[2]) for broker in answer.brokers}


async def _reason(error: Exception, host: str, port: int, settings: Settings) -> str | None:
    """Why a broker could not be asked; None where nothing answers there."""
    at = f"Kafka at {host}:{port}"
    if reason := _of_login(error, at, settings) or _of_certificates(error.__cause__ or error, at, settings):
        return reason
    if settings.kafka_tls and await _speaks_plainly(host, port):
        return f"{at} knows no TLS at this port; name its port with TLS, or set {variable('kafka_tls')}=no"
    if not settings.kafka_tls and await _speaks_tls(host, port):
        return f"{at} wants TLS at this port; set {variable('kafka_tls')}=yes, or name another port"
    return None


def _of_login(error: Exception, at: str, settings: Settings) -> str | None:
    match error:
        case NoTokenError():
            return str(error.args[0])
        case UnsupportedSaslMechanismError():
            return f"{at} knows no {settings.kafka_sasl}; set {variable('kafka_sasl')} to what it knows"
        case IllegalSaslStateError():
            return f"{at} lets nobody log in; leave {variable('kafka_sasl')} empty, or name another port"
        case _NotLoggedInError() if not settings.kafka_sasl:
            return f"{at} wants a login; set {variable('kafka_sasl')}, or name another port"
        case SaslAuthenticationFailed() | _NotLoggedInError():
            return _refused(at, settings)
    return None


def _of_certificates(error: BaseException, at: str, settings: Settings) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        trusted = settings.kafka_ca or "those of the system"
        return (
            f"{at} shows a certificate that is not trusted ({error.verify_message}); "
            f"the authorities are {trusted}, {variable('kafka_ca')} names others"
        )
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        names = f"{variable('kafka_certificate')} and {variable('kafka_key')}"
        return f"{at} refuses the client's certificate, or wants one ({error.reason}); {names} give it"
    return None


def _refused(at: str, settings: Settings) -> str:
    if settings.kafka_sasl == "OAUTHBEARER":
        return f"{at} refuses the token in {settings.kafka_token_file}; look whether it has expired"
    names = f"{variable('kafka_user')} and {variable('kafka_password')}"
    return f"{at} refuses user {settings.kafka_user!r} or the password by {settings.kafka_sasl}; correct {names}"


async def _speaks_plainly(host: str, port: int) -> bool:
    try:
        connection = await create_conn(host, port, request_timeout_ms=ANSWER_MS)
    except (KafkaError, OSError, TimeoutError):
        return False
    connection.close()
    return True


async def _speaks_tls(host: str, port: int) -> bool:
    """Whoever it is: nothing is sent there."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(ANSWER_MS / 1_000):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
