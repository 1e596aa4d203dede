"""One broker of Apache Kafka with TLS, logins and ACLs, as production would have it, and settings for its users.

Its listener without TLS is the back door of tests: whoever comes in there is a super user, and grants rights.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import orjson
from aiokafka import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String

from common.settings import Settings
from embedded.kafka import open_cluster
from embedded.manners import free_ports
from schemas.rights import ROLES, Right, rights
from tests.secured.certificates import Authority

GROUP: Final = "emberline"
EXTRA: Final = ("halfway", "nobody")
"""Users beside the roles: one to whom a test grants some of a role's rights, one without any."""
_CODES: Final = {"topic": 2, "group": 3, "transactional-id": 5}
_OPERATIONS: Final = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8}
_LITERAL, _PREFIXED, _ALLOW = 3, 4, 3


def user_of(role: str) -> str:
    """As `emberline acls` names it."""
    return f"{GROUP}-{role}"


def password_of(role: str) -> str:
    """Nothing that anybody would write by chance."""
    return f"s3cret of {role} which is never told"


@dataclass(frozen=True)
class Secured:
    """The broker, its ports by what they speak, and who it trusts."""

    folder: Path
    authority: Authority
    plain: str
    login: str
    certificates: str

    def settings(self, role: str, sasl: str = "SCRAM-SHA-256", **changes: Any) -> Settings:
        """The settings of a user who logs in with a password."""
        known = Settings(
            kafka=self.login,
            kafka_tls=True,
            kafka_ca=str(self.authority.ca),
            kafka_sasl=sasl,
            kafka_user=user_of(role),
            kafka_password=password_of(role),
            partitions=2,
            group=GROUP,
            session_timeout_s=6,
            rebalance_timeout_s=5,
            checkpoint_interval_s=0.3,
            insert_interval_s=0.2,
        )
        return replace(known, **changes)

    def by_certificate(self, role: str, authority: Authority | None = None) -> Settings:
        """The settings of a user who shows a certificate."""
        signed = (authority or self.authority).sign(user_of(role))
        files = {"kafka_certificate": str(signed.certificate), "kafka_key": str(signed.key)}
        return self.settings(role, "", kafka=self.certificates, kafka_user="", kafka_password="", **files)

    def by_token(self, role: str, file: Path, lasts_s: float = 600) -> Settings:
        """The settings of a user with a token, which is written to the file."""
        file.write_text(_token(user_of(role), lasts_s))
        token = {"kafka_token_file": str(file), "kafka_user": "", "kafka_password": ""}
        return self.settings(role, "OAUTHBEARER", **token)

    def grant(self, some: Iterable[Right], user: str = "") -> None:
        """Give roles their rights, or a user those of others. They hold when this returns."""
        asyncio.run(_grant(self.plain, list(some), user))


@contextmanager
def running_secured(folder: Path) -> Iterator[Secured]:
    """Run it, with the rights of all roles granted."""
    authority = Authority(folder, "authority")
    ports = free_ports("127.0.0.1", 0, 4)
    plain, _, login, certificates = (f"127.0.0.1:{port}" for port in ports)
    with open_cluster(
        folder / "kafka",
        folder / "kafka-logs",
        brokers=1,
        port=ports[0],
        properties=_properties(folder, authority, ports),
        formatting=_first_passwords(),
    ):
        secured = Secured(folder, authority, plain, login, certificates)
        secured.grant(rights(GROUP))
        yield secured


def _properties(folder: Path, authority: Authority, ports: list[int]) -> dict[str, str]:
    signed = authority.sign("broker")
    (folder / "keystore.pem").write_text(signed.key.read_text() + signed.certificate.read_text())
    names = dict(zip(("PLAINTEXT", "CONTROLLER", "LOGIN", "CERTIFICATES"), ports, strict=True))
    listeners = {name: f"{name}://127.0.0.1:{port}" for name, port in names.items()}
    users = " ".join(f'user_{user}="{password}"' for user, password in _passwords().items())
    jaas = "org.apache.kafka.common.security"
    return {
        "listeners": ",".join(listeners.values()),
        "advertised.listeners": ",".join(value for name, value in listeners.items() if name != "CONTROLLER"),
        "listener.security.protocol.map": ("PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL,CERTIFICATES:SSL"),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "keystore.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.ca),
        "listener.name.certificates.ssl.client.auth": "required",
        "listener.name.certificates.ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
        "listener.name.login.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN,OAUTHBEARER",
        "listener.name.login.scram-sha-256.sasl.jaas.config": f"{jaas}.scram.ScramLoginModule required;",
        "listener.name.login.scram-sha-512.sasl.jaas.config": f"{jaas}.scram.ScramLoginModule required;",
        "listener.name.login.plain.sasl.jaas.config": f"{jaas}.plain.PlainLoginModule required {users};",
        # Takes unsigned tokens: who a token is of counts here, not who signed it.
        "listener.name.login.oauthbearer.sasl.jaas.config": (
            f'{jaas}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def _passwords() -> dict[str, str]:
    return {user_of(role): password_of(role) for role in (*ROLES, *EXTRA)}


def _first_passwords() -> list[str]:
    return [
        argument
        for user, password in _passwords().items()
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for argument in ("--add-scram", f'{mechanism}=[name="{user}",password="{password}"]')
    ]


def _token(user: str, lasts_s: float) -> str:
    now = time.time()
    parts = ({"alg": "none"}, {"sub": user, "iat": now - 60, "exp": now + lasts_s})
    return ".".join(base64.urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=") for part in parts) + "."


class _AclsResponse(Response):
    API_KEY: ClassVar[int] = 30
    API_VERSION: ClassVar[int] = 1
    SCHEMA: ClassVar[Schema] = Schema(
        ("throttle_time_ms", Int32),
        ("results", Array(("error_code", Int16), ("error_message", String("utf-8")))),
    )


class _AclsStruct(RequestStruct):
    API_KEY: ClassVar[int] = 30
    API_VERSION: ClassVar[int] = 1
    RESPONSE_TYPE: ClassVar[type[Response]] = _AclsResponse
    SCHEMA: ClassVar[Schema] = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("pattern_type", Int8),
                ("principal", String("utf-8")),
                ("host", String("utf-8")),
                ("operation", Int8),
                ("permission", Int8),
            ),
        )
    )


class _AclsRequest(Request[_AclsStruct]):
    API_KEY = 30

    def __init__(self, creations: list[tuple[Any, ...]]) -> None:
        self._creations = creations

    def build(self, request_struct_class: type[_AclsStruct]) -> _AclsStruct:
        return request_struct_class(self._creations)


async def _grant(kafka: str, some: list[Right], user: str) -> None:
    creations = [
        (
            _CODES[right.resource],
            name,
            _PREFIXED if right.prefixed else _LITERAL,
            f"User:{user or user_of(right.role)}",
            "*",
            _OPERATIONS[operation],
            _ALLOW,
        )
        for right in some
        for name in right.names
        for operation in right.operations
    ]
    client = AIOKafkaClient(bootstrap_servers=kafka)
    await client.bootstrap()
    try:
        answer = await client.send(client.get_random_node(), _AclsRequest(creations))
        assert not [message for code, message in answer.results if code], answer.results
    finally:
        await client.close()
