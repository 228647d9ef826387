"""A certificate for this machine's loopback address, made by `openssl` for one run of the tests."""

import functools
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest


class Contexts(NamedTuple):
    """What the two ends of a connection need."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def contexts() -> Contexts:
    """Return the TLS contexts of a server on 127.0.0.1, and of a client that trusts it."""
    made = _make()
    if made is None:
        pytest.skip("needs the program openssl, to make a certificate: apt install openssl")
    return made


@functools.cache
def _make() -> Contexts | None:
    program = shutil.which("openssl")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        key, certificate = Path(directory, "key.pem"), Path(directory, "certificate.pem")
        command = [
            *(program, "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ]
        subprocess.run(command, check=True, capture_output=True)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate, key)
        return Contexts(server, ssl.create_default_context(cafile=str(certificate)))
