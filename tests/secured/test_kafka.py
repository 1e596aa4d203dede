"""Every way to log in to Kafka works, and every way to fail at it is told in one sentence that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from cli.command import run_to_end
from common.errors import OperatorError
from common.kafka.clients import security
from common.settings import Settings
from schemas.topics import TELEMETRY
from streams.credentials import faust_credentials
from streams.topics import count_partitions, make_topics
from tests.secured.brokers import Secured, password_of
from tests.secured.certificates import Authority
from tests.support.processes import last_words, run

WrongSettings = Callable[[Secured, Authority, Path], Settings]


@pytest.fixture(scope="module")
def topics(secured: Secured) -> None:
    """All topics, made by the operator."""
    asyncio.run(make_topics(secured.settings("operator")))


def _of(secured: Secured, way: str, folder: Path) -> Settings:
    if way == "certificate":
        return secured.by_certificate("gateway")
    if way == "OAUTHBEARER":
        return secured.by_token("gateway", folder / "token")
    return secured.settings("gateway", way)


WAYS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "certificate")


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_log_in_works(secured: Secured, topics: None, tmp_path: Path, way: str) -> None:
    settings = _of(secured, way, tmp_path)
    assert run_to_end(count_partitions(settings, TELEMETRY.name), settings) == settings.partitions


@pytest.mark.parametrize("way", [*WAYS, "plain"])
def test_faust_logs_in_as_all_other_clients(secured: Secured, tmp_path: Path, way: str) -> None:
    plain = Settings(kafka=secured.plain)
    settings = plain if way == "plain" else _of(secured, way, tmp_path)
    known = {name: value for name, value in security(settings).items() if value is not None}
    given = dict(credentials_to_aiokafka_auth(faust_credentials(settings)))
    if "sasl_oauth_token_provider" in known:
        assert asyncio.run(given.pop("sasl_oauth_token_provider").token()) == asyncio.run(
            known.pop("sasl_oauth_token_provider").token()
        )
    assert given == known


def test_a_token_that_was_renewed_is_read_at_the_next_connection(
    secured: Secured, topics: None, tmp_path: Path
) -> None:
    settings = secured.by_token("gateway", tmp_path / "token", lasts_s=-60)
    with pytest.raises(OperatorError, match="look whether it has expired"):
        run_to_end(count_partitions(settings, TELEMETRY.name), settings)
    secured.by_token("gateway", tmp_path / "token")
    assert run_to_end(count_partitions(settings, TELEMETRY.name), settings) == settings.partitions


def _settings(role: str = "gateway", sasl: str = "SCRAM-SHA-256", **changes: Any) -> WrongSettings:
    return lambda secured, stranger, folder: secured.settings(role, sasl, **changes)


def _without(secured: Secured, **changes: Any) -> Settings:
    return secured.settings("gateway", "", kafka_user="", kafka_password="", **changes)


def _junk(folder: Path) -> str:
    (folder / "junk.pem").write_text("no certificate")
    return str(folder / "junk.pem")


WRONG: Final[dict[str, tuple[WrongSettings, str]]] = {
    "a wrong password, SCRAM": (_settings(kafka_password="wrong"), "refuses user 'emberline-gateway' or the password"),
    "a wrong password, PLAIN": (
        _settings(sasl="PLAIN", kafka_password="wrong"),
        "by PLAIN; correct EMBERLINE_KAFKA_USER and EMBERLINE_KAFKA_PASSWORD",
    ),
    "an unknown user": (_settings(kafka_user="whoever"), "refuses user 'whoever' or the password"),
    "no login": (lambda secured, stranger, folder: _without(secured), "wants a login; set EMBERLINE_KAFKA_SASL"),
    "another's authority": (
        lambda secured, stranger, folder: secured.settings("gateway", kafka_ca=str(stranger.ca)),
        "stranger.pem, EMBERLINE_KAFKA_CA names others",
    ),
    "no authority": (_settings(kafka_ca=""), "the authorities are those of the system, EMBERLINE_KAFKA_CA"),
    "an authority that is not there": (
        _settings(kafka_ca="nowhere.pem"),
        "EMBERLINE_KAFKA_CA: cannot read nowhere.pem: No such file or directory",
    ),
    "an authority that is none": (
        lambda secured, stranger, folder: secured.settings("gateway", kafka_ca=_junk(folder)),
        "junk.pem holds no certificates in PEM",
    ),
    "TLS at a plain port": (
        lambda secured, stranger, folder: secured.settings("gateway", kafka=secured.plain),
        "knows no TLS at this port; name its port with TLS, or set EMBERLINE_KAFKA_TLS=no",
    ),
    "a login at a plain port": (
        lambda secured, stranger, folder: secured.settings(
            "gateway", kafka=secured.plain, kafka_tls=False, kafka_ca=""
        ),
        "lets nobody log in; leave EMBERLINE_KAFKA_SASL empty",
    ),
    "a plain login at a port with TLS": (
        _settings(kafka_tls=False, kafka_ca=""),
        "wants TLS at this port; set EMBERLINE_KAFKA_TLS=yes",
    ),
    "plain at a port with TLS": (
        lambda secured, stranger, folder: _without(secured, kafka_tls=False, kafka_ca=""),
        "wants TLS at this port; set EMBERLINE_KAFKA_TLS=yes",
    ),
    "no certificate": (
        lambda secured, stranger, folder: _without(secured, kafka=secured.certificates),
        "EMBERLINE_KAFKA_CERTIFICATE and EMBERLINE_KAFKA_KEY give it",
    ),
    "another's certificate": (
        lambda secured, stranger, folder: secured.by_certificate("gateway", stranger),
        "refuses the client's certificate",
    ),
    "a certificate that is none": (
        lambda secured, stranger, folder: replace(secured.by_certificate("gateway"), kafka_key=_junk(folder)),
        "are no certificate in PEM and its key without a passphrase",
    ),
    "a token that has expired": (
        lambda secured, stranger, folder: secured.by_token("gateway", folder / "token", lasts_s=-60),
        "refuses the token in",
    ),
    "a token that is not there": (
        lambda secured, stranger, folder: replace(
            secured.by_token("gateway", folder / "token"), kafka_token_file="nowhere"
        ),
        "EMBERLINE_KAFKA_TOKEN_FILE: cannot read nowhere: No such file or directory",
    ),
    "no password": (_settings(kafka_password=""), "EMBERLINE_KAFKA_PASSWORD is not given, but EMBERLINE_KAFKA_SASL is"),
    "a password for nothing": (_settings(sasl=""), "EMBERLINE_KAFKA_USER is given, but EMBERLINE_KAFKA_SASL is empty"),
    "an authority for nothing": (_settings(kafka_tls=False), "EMBERLINE_KAFKA_CA is given, but EMBERLINE_KAFKA_TLS"),
    "half a certificate": (
        _settings(kafka_key="key.pem"),
        "EMBERLINE_KAFKA_CERTIFICATE and EMBERLINE_KAFKA_KEY togeth",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_login_is_told(
    secured: Secured, stranger: Authority, topics: None, tmp_path: Path, case: str
) -> None:
    changed, sentence = WRONG[case]
    settings = changed(secured, stranger, tmp_path)
    with pytest.raises(OperatorError) as told:
        run_to_end(count_partitions(settings, TELEMETRY.name), settings)
    assert sentence in str(told.value)
    assert "\n" not in str(told.value)
    assert password_of("gateway") not in str(told.value)


@pytest.mark.parametrize("arguments", [["worker", "detect"], ["worker", "sink"], ["alarms"]], ids=" ".join)
def test_a_process_ends_with_the_sentence(secured: Secured, topics: None, arguments: list[str]) -> None:
    ended = run(*arguments, settings=secured.settings("detect", kafka_password="wrong"))
    assert ended.status == 1
    assert "refuses user 'emberline-detect' or the password by SCRAM-SHA-256" in last_words(ended.err)


@pytest.mark.parametrize("sasl", ["PLAIN", "OAUTHBEARER"])
def test_a_secret_is_in_no_log_however_much_is_logged(
    secured: Secured, topics: None, tmp_path: Path, sasl: str
) -> None:
    settings = replace(_of(secured, sasl, tmp_path), log_level="DEBUG")
    file = Path(settings.kafka_token_file) if sasl == "OAUTHBEARER" else tmp_path / "password"
    if sasl == "PLAIN":
        file.write_text(password_of("gateway") + "\n")
    environment = settings.to_environment() | {"EMBERLINE_KAFKA_PASSWORD": ""}
    if sasl == "PLAIN":
        environment["EMBERLINE_KAFKA_PASSWORD_FILE"] = str(file)
    ended = run("simulate", "--seconds", "1", "--devices", "20", "--rate", "20", settings=environment)
    assert ended.status == 0, ended.err
    assert "DEBUG" in ended.err
    assert file.read_text().strip() not in ended.err
    assert "SaslAuthenticate" not in ended.err
