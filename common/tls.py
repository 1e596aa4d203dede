"""Whom to trust: the authorities whose certificates servers must show."""

from __future__ import annotations

import ssl

from common.errors import OperatorError


def tls_context(ca: str, name: str) -> ssl.SSLContext:
    """Certificates are checked by the authorities of the file `ca`, by those of the system where it is empty.

    Raises OperatorError, naming the setting `name`, for a file that cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=ca or None)
    except ssl.SSLError as error:
        raise OperatorError(f"{name}: {ca} holds no certificates in PEM") from error
    except OSError as error:
        raise OperatorError(f"{name}: cannot read {ca}: {error.strerror}") from error
