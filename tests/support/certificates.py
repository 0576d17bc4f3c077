"""A family of certificates for tests of TLS: a root, an authority in between, and a server on localhost."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

PASSPHRASE = "open s\u00e9same"


@dataclass
class Certified:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, passphrase: str | None = None) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption(passphrase))


def encryption(passphrase: str | None) -> KeySerializationEncryption:
    return NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.encode())


def certify(name: str, issuer: Certified | None) -> Certified:
    """A certificate for two days: a server's, if its name is ``localhost``, or else an authority's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    is_server = name == "localhost"
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=not is_server, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((issuer.key if issuer else key).public_key()),
            critical=False,
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=not is_server,
                crl_sign=not is_server,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if is_server:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return Certified(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


class Family:
    """The certificates, and files of them in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = certify("root", None)
        self.between = certify("between", self.root)
        self.server = certify("localhost", self.between)
        self.stranger = certify("stranger", None)

    def write(self, name: str, *contents: bytes) -> str:
        path = self.folder / name
        path.write_bytes(b"".join(contents))
        return str(path)

    def bundle(self, name: str, passphrase: str | None, *others: Certified) -> str:
        """A PKCS#12 file of the server, with other certificates in the order in which they are given."""
        cas = [other.certificate for other in others]
        data = pkcs12.serialize_key_and_certificates(
            b"server", self.server.key, self.server.certificate, cas, encryption(passphrase)
        )
        return self.write(name, data)


@functools.cache
def family() -> Family:
    """One for the whole test run, in a folder that `tempfile` chooses."""
    return Family(Path(tempfile.mkdtemp(prefix="primus-test-certificates-")))
