"""Settings come from the environment whole, and what cannot be used is said in one sentence."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from common.settings import SECRETS, SECURITY, Settings, SettingsError, described, host_port, variable

OTHERS = {
    "kafka": "kafka-1:9092,kafka-2:9093",
    "kafka_ca": "ca.pem",
    "kafka_certificate": "worker.pem",
    "kafka_key": "worker-key.pem",
    "kafka_sasl": "SCRAM-SHA-512",
    "kafka_user": "detector",
    "kafka_password": "an0ther pässwörd",
    "kafka_token_file": "token",
    "clickhouse": "db.example:9440",
    "clickhouse_database": "fire",
    "clickhouse_user": "writer",
    "clickhouse_password": "s3cret pässwörd",
    "registry": "db.example:5433/fire",
    "registry_user": "registrar",
    "registry_password": "a thïrd pässwörd",
    "registry_ca": "registry-ca.pem",
    "clickhouse_ca": "clickhouse-ca.pem",
    "group": "blue",
    "group_instance": "blue-1",
    "limits_file": "limits/pingyao.toml",
    "early_warning_file": "limits/rules.toml",
    "risk_file": "limits/risk.toml",
    "control_keys_file": "control-keys",
    "http": "0.0.0.0:8080",
    "data_dir": "somewhere else",
    "log_level": "DEBUG",
}
TEXTS = [one.name for one in fields(Settings) if isinstance(one.default, str)]
SWITCHES = [one.name for one in fields(Settings) if isinstance(one.default, bool)]
NUMBERS = [one.name for one in fields(Settings) if isinstance(one.default, int | float) and one.name not in SWITCHES]


def test_every_text_has_another_value_here() -> None:
    assert set(OTHERS) == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_is_read_from_itsvariable(name: str) -> None:
    assert getattr(Settings.from_environment({variable(name): OTHERS[name]}), name) == OTHERS[name]


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_is_read_within_its_bounds_and_refused_outside(name: str) -> None:
    one = next(one for one in fields(Settings) if one.name == name)
    least, most = one.metadata["least"], one.metadata["most"]
    assert least <= one.default <= most
    for value in (least, most):
        read = getattr(Settings.from_environment({variable(name): str(value)}), name)
        assert (read, type(read)) == (value, type(one.default))
    for value in (least - 1, most + 1, "nan", "inf", -1e300 if isinstance(one.default, float) else -(10**30)):
        with pytest.raises(SettingsError, match=f"{variable(name)} must (lie from|be a number)"):
            Settings.from_environment({variable(name): str(value)})
    with pytest.raises(SettingsError, match=f"{variable(name)} must be a number, got 'many'"):
        Settings.from_environment({variable(name): "many"})


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_yes_or_no(name: str) -> None:
    assert getattr(Settings.from_environment({variable(name): "yes"}), name) is True
    assert getattr(Settings.from_environment({variable(name): "no"}), name) is False
    for text in ("true", "1", "YES", ""):
        with pytest.raises(SettingsError, match=f"{variable(name)} must be yes or no"):
            Settings.from_environment({variable(name): text})


def test_every_setting_is_a_text_a_number_or_a_switch() -> None:
    assert sorted(TEXTS + NUMBERS + SWITCHES) == sorted(one.name for one in fields(Settings))


@pytest.mark.parametrize("name", ["kafka", "clickhouse", "http"])
@pytest.mark.parametrize("text", ["here", "here:", ":9092", "here:70000", "here:-1", "here:90x", "here:9092,"])
def test_an_address_is_host_and_port(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable(name)} must be host:port"):
        Settings.from_environment({variable(name): text})


def test_only_http_may_be_empty() -> None:
    assert Settings.from_environment({"EMBERLINE_HTTP": ""}).http == ""
    with pytest.raises(SettingsError, match="EMBERLINE_KAFKA must be host:port"):
        Settings.from_environment({"EMBERLINE_KAFKA": ""})


@pytest.mark.parametrize("level", ["debug", "LOUD", ""])
def test_a_log_level_is_one_of_four(level: str) -> None:
    with pytest.raises(SettingsError, match="EMBERLINE_LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR"):
        Settings.from_environment({"EMBERLINE_LOG_LEVEL": level})


@pytest.mark.parametrize("mechanism", ["plain", "GSSAPI", "SCRAM"])
def test_a_mechanism_is_one_of_four_or_none(mechanism: str) -> None:
    assert Settings.from_environment({"EMBERLINE_KAFKA_SASL": ""}).kafka_sasl == ""
    told = "EMBERLINE_KAFKA_SASL must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
    with pytest.raises(SettingsError, match=told):
        Settings.from_environment({"EMBERLINE_KAFKA_SASL": mechanism})


def test_an_unknown_variable_is_refused_by_its_name_and_others_are_none_of_ours() -> None:
    with pytest.raises(SettingsError, match="EMBERLINE_KAFKAA is no setting of emberline"):
        Settings.from_environment({"EMBERLINE_KAFKAA": "here:9092"})
    assert Settings.from_environment({"KAFKA": "here:9092", "PATH": ""}) == Settings()


def test_what_goes_to_a_child_comes_back_the_same() -> None:
    numbers = {variable(one.name): str(one.metadata["most"]) for one in fields(Settings) if one.name in NUMBERS}
    texts = {variable(name): text for name, text in OTHERS.items()}
    switches = {variable(name): "no" for name in SWITCHES}
    settings = Settings.from_environment(numbers | texts | switches)
    assert Settings.from_environment(settings.to_environment()) == settings
    assert Settings.from_environment(Settings().to_environment()) == Settings()


def test_a_secret_is_never_shown() -> None:
    secrets = {one.name: OTHERS[one.name] for one in fields(Settings) if "password" in one.name}
    assert set(secrets) == set(SECRETS)
    shown = f"{Settings(**secrets)!r} {Settings(**secrets)}"  # type: ignore[arg-type]
    assert not [secret for secret in secrets.values() if secret in shown]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_read_from_its_file_without_the_end_of_its_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    for text in (OTHERS[name], f"{OTHERS[name]}\n", f"{OTHERS[name]}\r\n"):
        file.write_text(text, encoding="utf-8", newline="")
        settings = Settings.from_environment({f"{variable(name)}_FILE": str(file)})
        assert getattr(settings, name) == OTHERS[name]
    # A child inherits the file's variable, and gets the secret itself.
    inherited = {f"{variable(name)}_FILE": str(file)} | settings.to_environment()
    assert Settings.from_environment(inherited) == settings
    assert Settings.from_environment({f"{variable(name)}_FILE": ""}) == Settings()


@pytest.mark.parametrize("name", SECRETS)
def test_a_file_that_gives_no_secret_is_told(name: str, tmp_path: Path) -> None:
    file, by_file = tmp_path / "secret", f"{variable(name)}_FILE"
    with pytest.raises(SettingsError, match=f"{by_file}: cannot read {file}: No such file"):
        Settings.from_environment({by_file: str(file)})
    file.write_text("\n")
    with pytest.raises(SettingsError, match=f"{by_file}: {file} is empty"):
        Settings.from_environment({by_file: str(file)})
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=f"{by_file}: {file} is no text in UTF-8"):
        Settings.from_environment({by_file: str(file)})
    with pytest.raises(SettingsError) as told:
        Settings.from_environment({by_file: str(file), variable(name): OTHERS[name]})
    assert str(told.value) == f"{variable(name)} and {by_file} are both given; give one of them"


def test_servers_of_this_machine_know_no_security() -> None:
    settings = Settings(kafka="here:9093", clickhouse="here:9440", clickhouse_password=OTHERS["clickhouse_password"])
    secured: dict[str, Any] = {name: OTHERS.get(name, True) for name in SECURITY}
    assert replace(settings, **secured).without_security() == settings
    names = {one.name for one in fields(Settings)}
    assert set(SECURITY) == {
        one for one in names if one.startswith("kafka_") or (one.endswith(("_tls", "_ca")) and "registry" not in one)
    }


def test_every_setting_is_described() -> None:
    assert [name for name, _, _ in described() if not name.removesuffix("_FILE").endswith("PASSWORD")] == [
        variable(one.name) for one in fields(Settings) if one.name not in SECRETS
    ]
    assert {name for name, _, _ in described()} >= {variable(name) + end for name in SECRETS for end in ("", "_FILE")}
    assert all(what for _, _, what in described())


def test_paths_and_addresses_are_taken_apart() -> None:
    assert Settings().limits_path is None
    assert Settings(limits_file="a/b.toml").limits_path == Path("a/b.toml")
    assert host_port("::1:9092") == ("::1", 9092)
