"""How Faust, which makes the consumer of a worker's group itself, logs in to Kafka."""

from __future__ import annotations

from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from common.kafka.clients import security
from common.settings import Settings


def faust_credentials(settings: Settings) -> CredentialsT | None:
    """What `common.kafka.clients` says by aiokafka's options."""
    options = security(settings)
    tls = options["ssl_context"]
    if settings.kafka_sasl == "OAUTHBEARER":
        return OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=tls)
    if settings.kafka_sasl:
        user, password = settings.kafka_user, settings.kafka_password
        return SASLCredentials(username=user, password=password, ssl_context=tls, mechanism=settings.kafka_sasl)
    return None if tls is None else SSLCredentials(tls)
