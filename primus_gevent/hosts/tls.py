"""The TLS context of our own server, from PEM files or from a PKCS#12 bundle."""

from __future__ import annotations

import os
import secrets
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gevent.ssl

from primus_gevent.errors import MissingPackageError, OptionError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["tls_context"]


def tls_context(
    cert: str | None = None,
    key: str | None = None,
    ca: str | None = None,
    passphrase: str | None = None,
    *,
    pfx: str | None = None,
) -> gevent.ssl.SSLContext:
    """The context of a TLS server, cooperative whether the process is monkey-patched or not.

    Clients are asked for no certificate; to ask, set ``verify_mode`` of what is returned.

    Args:
        cert: path of a PEM file with the certificate, and behind it those that lead to its root.
        key: path of the private key, if it is not in ``cert``.
        ca: path of a PEM file with certificates of authorities. They complete the chain that clients are
            shown, where ``cert`` has only its own; and those of clients have to come from them, if clients
            are asked.
        passphrase: of the private key, or of ``pfx``.
        pfx: path of a PKCS#12 bundle with certificate, chain and key, instead of ``cert`` and ``key``. Needs
            the package `cryptography`.

    Raises:
        OptionError: the files do not make a certificate, or ``passphrase`` does not open them.
        OSError: a file cannot be read; the message names it.
        MissingPackageError: ``pfx`` without `cryptography`.
    """
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if pfx is not None:
        if cert is not None or key is not None:
            raise OptionError(
                "pfx has the certificate and the key: give it, or cert and key, but not both", "pfx"
            )
        with _as_pem(pfx, passphrase) as (path, one_time_passphrase):
            _load(context, path, None, one_time_passphrase, name=pfx)
    elif cert is not None:
        _load(context, cert, key, passphrase, name=cert)
    else:
        raise OptionError("TLS needs cert and key, or pfx", "cert")
    if ca is not None:
        _check_readable(ca)
        try:
            context.load_verify_locations(ca)
        except ssl.SSLError as error:
            raise OptionError(f"{ca} holds no certificates in PEM: {error}", "ca") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, cert: str, key: str | None, passphrase: str | None, *, name: str) -> None:
    for path in (cert, key):
        if path is not None:
            _check_readable(path)
    where = key or name
    asked = False

    def answer() -> str:
        nonlocal asked
        asked = True
        return passphrase or ""

    try:
        # never None: OpenSSL would ask at the terminal, and wait there
        context.load_cert_chain(cert, key, answer)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise OptionError(f"the private key in {where} is not the one of {name}", "key") from error
        if asked and not passphrase:
            raise OptionError(
                f"the private key in {where} is encrypted: give its passphrase", "passphrase"
            ) from error
        if asked:
            raise OptionError(
                f"the passphrase does not open the private key in {where}", "passphrase"
            ) from error
        files = name if key is None else f"{name} and {key}"
        raise OptionError(
            f"no certificate with its private key, in PEM, is in {files}: {error}", "cert"
        ) from error
    except ValueError as error:  # Python has a limit for what it hands to OpenSSL
        raise OptionError(f"this passphrase cannot be used: {error}", "passphrase") from error


def _check_readable(path: str) -> None:
    """Unlike OpenSSL's error, that of `open` has the name of the file in it."""
    with open(path, "rb") as file:
        file.read(1)


@contextmanager
def _as_pem(pfx: str, passphrase: str | None) -> Iterator[tuple[str, str]]:
    """A bundle as a PEM file, and its passphrase; the file is gone afterwards.

    `ssl` reads files only. The key in this one is encrypted with a passphrase that exists nowhere else, so
    that one which a crash leaves behind is of no use to anybody.
    """
    from_bundle, chain = _read_bundle(pfx, passphrase)
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    one_time = secrets.token_hex(32)
    pem = from_bundle.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(one_time.encode())
    )
    descriptor, path = tempfile.mkstemp(suffix=".pem")  # only its owner may read it
    try:
        with open(descriptor, "wb") as file:
            file.write(pem + b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain))
        yield path, one_time
    finally:
        os.unlink(path)


def _read_bundle(path: str, passphrase: str | None) -> tuple[Any, list[Certificate]]:
    """The private key of a bundle, and its certificate with those that lead to its root."""
    try:
        from cryptography.hazmat.primitives.serialization import pkcs12
    except ImportError as error:
        raise MissingPackageError("the option 'pfx'", "cryptography", "pfx") from error
    with open(path, "rb") as file:
        data = file.read()
    # "no passphrase" is written in two ways
    candidates = [None, b""] if not passphrase else [passphrase.encode()]
    for candidate in candidates:
        try:
            bundle = pkcs12.load_pkcs12(data, candidate)
            break
        except ValueError as error:
            failure = error
    else:
        reason = "give its passphrase" if not passphrase else "the passphrase does not open it"
        raise OptionError(f"{path} cannot be read: {reason}, or it is no PKCS#12 bundle", "pfx") from failure
    if bundle.key is None or bundle.cert is None:
        raise OptionError(f"{path} holds no certificate with its private key", "pfx")
    others = [other.certificate for other in bundle.additional_certs]
    return bundle.key, _chain(bundle.cert.certificate, others)


def _chain(certificate: Certificate, others: list[Certificate]) -> list[Certificate]:
    """From a certificate up to its root, without that: clients have it, or do not believe it.

    A bundle has no order, and TLS 1.2 wants one (RFC 5246, section 7.4.2).
    """
    chain = [certificate]
    while chain[-1].issuer != chain[-1].subject:
        issuer = next((other for other in others if other.subject == chain[-1].issuer), None)
        if issuer is None or issuer in chain or issuer.issuer == issuer.subject:
            break
        chain.append(issuer)
    return chain
