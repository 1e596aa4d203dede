"""The one place where clients of Kafka are made: where the brokers are and how to speak to them, from the settings.

The caller says by aiokafka's options what a client is for. Every function raises OperatorError for settings of TLS and
SASL that do not fit together, and for files that cannot be used.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaClient, AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from common.errors import OperatorError
from common.settings import Settings, SettingsError, read_secret, variable
from common.tls import tls_context


class NoTokenError(KafkaConnectionError):
    """The token's file cannot be read. The client tries again, as where a broker is away; the text is a sentence."""


def producer(settings: Settings, **options: Any) -> AIOKafkaProducer:
    """A producer, not started."""
    return AIOKafkaProducer(bootstrap_servers=settings.kafka, **security(settings), **options)


def consumer(settings: Settings, **options: Any) -> AIOKafkaConsumer:
    """A consumer without topics, not started."""
    return AIOKafkaConsumer(bootstrap_servers=settings.kafka, **security(settings), **options)


def admin(settings: Settings, **options: Any) -> AIOKafkaAdminClient:
    """A client of the admin requests, not started."""
    return AIOKafkaAdminClient(bootstrap_servers=settings.kafka, **security(settings), **options)


def client(settings: Settings, **options: Any) -> AIOKafkaClient:
    """A client that sends single requests, not connected."""
    return AIOKafkaClient(bootstrap_servers=settings.kafka, **security(settings), **options)


def security(settings: Settings) -> dict[str, Any]:
    """How clients of aiokafka speak to brokers, as its options."""
    _check(settings)
    sasl = settings.kafka_sasl
    tls = _tls(settings.kafka_ca, settings.kafka_certificate, settings.kafka_key) if settings.kafka_tls else None
    options = {
        "security_protocol": f"{'SASL_' if sasl else ''}{'SSL' if tls else 'PLAINTEXT'}",
        "ssl_context": tls,
    }
    if sasl == "OAUTHBEARER":
        return options | {"sasl_mechanism": sasl, "sasl_oauth_token_provider": _Token(settings.kafka_token_file)}
    if sasl:
        return options | {
            "sasl_mechanism": sasl,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password,
        }
    return options


class _Token(AbstractTokenProvider):
    """A token lives for minutes: whoever renews it writes the file anew, and every connection reads it anew."""

    def __init__(self, file: str) -> None:
        self._file = file

    async def token(self) -> str:
        try:
            return read_secret(self._file, variable("kafka_token_file"))
        except SettingsError as error:
            raise NoTokenError(str(error)) from None


@lru_cache
def _tls(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """Kept: a detect worker makes a client a partition, and to read the authorities of a system takes long."""
    context = tls_context(ca, variable("kafka_ca"))
    if certificate:
        _show(context, certificate, key)
    return context


def _show(context: ssl.SSLContext, certificate: str, key: str) -> None:
    names = f"{variable('kafka_certificate')} and {variable('kafka_key')}"
    try:
        # Asked for a passphrase, OpenSSL would wait at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        raise OperatorError(
            f"{names}: {certificate} and {key} are no certificate in PEM and its key without a passphrase"
        ) from error
    except OSError as error:
        raise OperatorError(f"{names}: cannot read {certificate} and {key}: {error.strerror}") from error


def _check(settings: Settings) -> None:
    """Refuse what would be ignored, or would fail later with another's words."""
    tls, sasl = settings.kafka_tls, settings.kafka_sasl
    by_password = sasl not in ("", "OAUTHBEARER")
    for name in ("kafka_ca", "kafka_certificate", "kafka_key"):
        if getattr(settings, name) and not tls:
            raise OperatorError(f"{variable(name)} is given, but {variable('kafka_tls')} is no; set it to yes")
    if bool(settings.kafka_certificate) != bool(settings.kafka_key):
        raise OperatorError(f"give {variable('kafka_certificate')} and {variable('kafka_key')} together or not at all")
    for name, wanted in (
        ("kafka_user", by_password),
        ("kafka_password", by_password),
        ("kafka_token_file", sasl == "OAUTHBEARER"),
    ):
        if bool(getattr(settings, name)) != wanted:
            given = "is given" if not wanted else "is not given"
            raise OperatorError(f"{variable(name)} {given}, but {variable('kafka_sasl')} is {sasl or 'empty'}")
