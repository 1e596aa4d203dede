"""ClickHouse behind TLS: what is wrong with the way to it is told in one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from common.errors import OperatorError
from common.settings import Settings
from schemas.topics import TELEMETRY
from sinks.contract import SinkRefused
from streams.storage import asking, make_sink
from tests.secured.certificates import Authority
from tests.secured.conftest import PASSWORD, Fronted
from tests.support.processes import run


def _settings(server: Fronted, **changes: Any) -> Settings:
    known: dict[str, Any] = {
        "clickhouse": server.tls,
        "clickhouse_tls": True,
        "clickhouse_ca": server.ca,
        "clickhouse_password": PASSWORD,
        "clickhouse_database": "default",
        "clickhouse_deadline_s": 2,
    }
    return Settings(**known | changes)


def test_questions_go_by_tls(clickhouse: Fronted) -> None:
    with asking(_settings(clickhouse)) as service:
        assert service.query("SELECT 1") == [(1,)]


WRONG: Final[dict[str, tuple[Callable[[Fronted, Authority], dict[str, Any]], str]]] = {
    "another's authority": (
        lambda clickhouse, stranger: {"clickhouse_ca": str(stranger.ca)},
        "stranger.pem, EMBERLINE_CLICKHOUSE_CA names others",
    ),
    "no authority": (
        lambda clickhouse, stranger: {"clickhouse_ca": ""},
        "the authorities are those of the system, EMBERLINE_CLICKHOUSE_CA",
    ),
    "an authority that is not there": (
        lambda clickhouse, stranger: {"clickhouse_ca": "nowhere.pem"},
        "EMBERLINE_CLICKHOUSE_CA: cannot read nowhere.pem: No such file or directory",
    ),
    "an authority for nothing": (
        lambda clickhouse, stranger: {"clickhouse_tls": False},
        "EMBERLINE_CLICKHOUSE_CA is given, but EMBERLINE_CLICKHOUSE_TLS is no",
    ),
    "plain at a port with TLS": (
        lambda clickhouse, stranger: {"clickhouse_tls": False, "clickhouse_ca": ""},
        "it wants TLS; set EMBERLINE_CLICKHOUSE_TLS=yes",
    ),
    "TLS at a plain port": (
        lambda clickhouse, stranger: {"clickhouse": clickhouse.plain},
        "does not answer by TLS; is it running, and is this its port with TLS?",
    ),
    "a wrong password": (
        lambda clickhouse, stranger: {"clickhouse_password": "wrong"},
        "refuses user 'default'; check user, password and grants",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_the_way_to_clickhouse_is_told(clickhouse: Fronted, stranger: Authority, case: str) -> None:
    changes, sentence = WRONG[case]
    settings = _settings(clickhouse, **changes(clickhouse, stranger))
    with pytest.raises(OperatorError) as told, asking(settings) as service:
        service.query("SELECT 1")
    assert sentence in str(told.value)
    assert "\n" not in str(told.value)
    assert PASSWORD not in str(told.value)


def test_a_sink_does_not_try_for_long_what_only_a_person_can_mend(clickhouse: Fronted, stranger: Authority) -> None:
    settings = _settings(clickhouse, clickhouse_ca=str(stranger.ca), clickhouse_deadline_s=86_400)
    sink = make_sink(settings)
    try:
        with pytest.raises(SinkRefused, match="its certificate is not trusted"):
            sink.stored_offsets(TELEMETRY.name, UUID(int=1), [0])
    finally:
        sink.close()


def test_a_password_in_a_file_is_read(clickhouse: Fronted, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    environment = _settings(clickhouse, clickhouse_password="", clickhouse_database="by_file").to_environment()
    ended = run("migrate", settings=environment | {"EMBERLINE_CLICKHOUSE_PASSWORD_FILE": str(file)})
    assert ended.status == 0, ended.err
    file.write_text("wrong\n")
    ended = run("migrate", settings=environment | {"EMBERLINE_CLICKHOUSE_PASSWORD_FILE": str(file)})
    assert "refuses user 'default'" in ended.refusal
