"""Why a server that listens cannot be spoken to.

The driver tells such a server from no server only in its log; so we connect once more ourselves. That connection sends
only the beginning of TLS: no user and no password.
"""

from __future__ import annotations

import socket
import ssl

from sinks.clickhouse.config import Config


def obstacle(config: Config) -> str | None:
    """What a person must mend, and how; None where nothing of the kind is seen."""
    try:
        with (
            socket.create_connection((config.host, config.port), config.connect_timeout_s) as connection,
            _context(config).wrap_socket(connection, server_hostname=config.host),
        ):
            return None if config.secure else "it wants TLS; set EMBERLINE_CLICKHOUSE_TLS=yes, or name another port"
    except ssl.SSLCertVerificationError as error:
        trusted = config.ca_certs or "those of the system"
        return (
            f"its certificate is not trusted ({error.verify_message}); the authorities are {trusted}, "
            "EMBERLINE_CLICKHOUSE_CA names others"
        )
    except ssl.SSLEOFError:  # it may be going down just now
        return None
    except ssl.SSLError as error:
        if not config.secure:
            return None
        return (
            f"it knows no TLS at this port ({error.reason}); name its port with TLS, or set EMBERLINE_CLICKHOUSE_TLS=no"
        )
    except OSError:
        return None


def _context(config: Config) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca_certs)
    if not config.secure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
