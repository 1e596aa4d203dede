"""Certificates for tests, made by openssl: an authority, another that nobody trusts, and those they sign."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.apache_kafka import skip_but_in_ci


class Signed(NamedTuple):
    """A certificate and its key, in PEM."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates."""

    def __init__(self, folder: Path, name: str) -> None:
        self.ca = folder / f"{name}.pem"
        self._folder, self._key = folder, folder / f"{name}-key.pem"
        _key(self._key)
        _openssl("req", "-x509", "-new", "-key", self._key, "-subj", f"/CN={name}", "-days", "30", "-out", self.ca)

    def sign(self, name: str, hosts: str = "IP:127.0.0.1,DNS:localhost") -> Signed:
        """A certificate of this name for these hosts."""
        signed = Signed(self._folder / f"{name}.pem", self._folder / f"{name}-key.pem")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={hosts}\n")
        _key(signed.key)
        _openssl("req", "-new", "-key", signed.key, "-subj", f"/CN={name}", "-out", request)
        by = ("-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-days", "30", "-extfile", extensions)
        _openssl("x509", "-req", "-in", request, *by, "-out", signed.certificate)
        return signed


def _key(path: Path) -> None:
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def _openssl(*arguments: str | Path) -> None:
    tool = shutil.which("openssl")
    if tool is None:
        skip_but_in_ci("certificates need openssl, which this machine has not")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
