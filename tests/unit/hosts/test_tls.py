"""What becomes a TLS context, which certificates its server shows, and what is said of files that are wrong.

The handshakes are real, but go through memory: there is no socket.
"""

from __future__ import annotations

import shutil
import ssl
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import gevent.ssl
import pytest
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

from primus_gevent.errors import MissingPackageError, OptionError
from primus_gevent.hosts.tls import tls_context
from tests.support.certificates import PASSPHRASE, Family


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    return Family(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def pem(family: Family) -> dict[str, str]:
    return {
        "cert": family.write("cert.pem", family.server.pem()),
        "chain": family.write("chain.pem", family.server.pem(), family.between.pem()),
        "key": family.write("key.pem", family.server.key_pem()),
        "locked": family.write("locked.pem", family.server.key_pem(PASSPHRASE)),
        "both": family.write("both.pem", family.server.pem(), family.server.key_pem()),
        "both locked": family.write(
            "both-locked.pem", family.server.pem(), family.server.key_pem(PASSPHRASE)
        ),
        "stranger's key": family.write("stranger.pem", family.stranger.key_pem()),
        "between": family.write("between.pem", family.between.pem()),
        "root": family.write("root.pem", family.root.pem()),
        "garbage": family.write("garbage.pem", b"hello\n"),
        "empty": family.write("empty.pem"),
    }


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """The client's end after a handshake in memory."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    mine = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    ends = [mine, server.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(10):
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
        if not ends:
            return mine
    raise AssertionError("this handshake has no end")


def trusting(certificate: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def test_a_certificate_and_its_key(pem: dict[str, str]) -> None:
    context = tls_context(pem["chain"], pem["key"])
    assert isinstance(context, gevent.ssl.SSLContext)
    client = trusting(pem["root"])
    client.set_alpn_protocols(["h2", "http/1.1"])
    end = shake(context, client)
    assert end.selected_alpn_protocol() == "http/1.1"
    assert end.getpeercert()["subject"] == ((("commonName", "localhost"),),)  # type: ignore[index]


def test_both_in_one_file(pem: dict[str, str]) -> None:
    shake(tls_context(pem["both"]), trusting_leaf(pem))
    shake(tls_context(pem["both locked"], passphrase=PASSPHRASE), trusting_leaf(pem))


def trusting_leaf(pem: dict[str, str]) -> ssl.SSLContext:
    client = trusting(pem["cert"])
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return client


def test_a_key_with_a_passphrase(pem: dict[str, str]) -> None:
    shake(tls_context(pem["chain"], pem["locked"], passphrase=PASSPHRASE), trusting(pem["root"]))


def test_a_passphrase_that_nobody_needs(pem: dict[str, str]) -> None:
    shake(tls_context(pem["chain"], pem["key"], passphrase=PASSPHRASE), trusting(pem["root"]))


def test_an_incomplete_chain_is_not_believed(pem: dict[str, str]) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tls_context(pem["cert"], pem["key"]), trusting(pem["root"]))


def test_ca_completes_the_chain(pem: dict[str, str]) -> None:
    shake(tls_context(pem["cert"], pem["key"], pem["between"]), trusting(pem["root"]))


def test_no_certificate_is_asked_of_clients(pem: dict[str, str]) -> None:
    """Also not with `ca`, which Node has for that purpose."""
    assert tls_context(pem["cert"], pem["key"], pem["root"]).verify_mode is ssl.CERT_NONE


def test_clients_can_be_asked_with_the_context(pem: dict[str, str], family: Family) -> None:
    context = tls_context(pem["chain"], pem["key"], pem["root"])
    context.verify_mode = ssl.CERT_REQUIRED
    client = trusting(pem["root"])
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # in 1.3 a client ends its handshake before it is refused
    with pytest.raises(ssl.SSLError):
        shake(context, client)
    client.load_cert_chain(pem["chain"], pem["key"])
    shake(context, client)


# -- PKCS#12


@pytest.mark.parametrize("passphrase", [None, "", PASSPHRASE])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_bundle(
    family: Family, pem: dict[str, str], passphrase: str | None, order: int, version: ssl.TLSVersion
) -> None:
    others = [family.between, family.root, family.stranger][::order]
    path = family.bundle("server.pfx", passphrase or None, *others)
    client = trusting(pem["root"])
    client.minimum_version = client.maximum_version = version
    shake(tls_context(pfx=path, passphrase=passphrase), client)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("passphrase", ["", "secret"])
@pytest.mark.parametrize(
    "form", [[], ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"]]
)
def test_a_bundle_of_openssl(family: Family, pem: dict[str, str], passphrase: str, form: list[str]) -> None:
    path = str(family.folder / "openssl.pfx")
    command = ["openssl", "pkcs12", "-export", "-in", pem["chain"], "-inkey", pem["key"], "-out", path]
    subprocess.run([*command, "-passout", f"pass:{passphrase}", *form], check=True, capture_output=True)
    shake(tls_context(pfx=path, passphrase=passphrase or None), trusting(pem["root"]))


def test_a_bundle_with_ca(family: Family, pem: dict[str, str]) -> None:
    path = family.bundle("alone.pfx", PASSPHRASE)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tls_context(pfx=path, passphrase=PASSPHRASE), trusting(pem["root"]))
    shake(tls_context(pfx=path, passphrase=PASSPHRASE, ca=pem["between"]), trusting(pem["root"]))


def test_the_key_of_a_bundle_does_not_stay_on_the_disk(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, str]] = []

    class Watched(gevent.ssl.SSLContext):
        def load_cert_chain(self, certfile: Any, *args: Any) -> None:
            path = Path(certfile)
            seen.append((stat.S_IMODE(path.stat().st_mode), path.read_text()))
            super().load_cert_chain(certfile, *args)

    monkeypatch.setattr(gevent.ssl, "SSLContext", Watched)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = family.bundle("server.pfx", PASSPHRASE, family.between, family.root)
    tls_context(pfx=path, passphrase=PASSPHRASE)
    ((mode, text),) = seen
    assert mode == 0o600
    assert "BEGIN ENCRYPTED PRIVATE KEY" in text
    assert "BEGIN PRIVATE KEY" not in text
    assert text.count("BEGIN CERTIFICATE") == 2  # the root is the client's
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_on_the_disk_after_a_failure(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(gevent.ssl.SSLContext):
        def load_cert_chain(self, *args: Any) -> None:
            raise OSError("broken")

    monkeypatch.setattr(gevent.ssl, "SSLContext", Broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match="broken"):
        tls_context(pfx=family.bundle("server.pfx", None))
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_a_bundle_names_the_command(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = family.bundle("server.pfx", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'primus-gevent\[pfx\]'"):
        tls_context(pfx=path)


# -- files that are wrong


@pytest.mark.parametrize(
    ("files", "option", "message"),
    [
        ({"cert": "chain", "key": "locked"}, "passphrase", r"locked\.pem is encrypted"),
        ({"cert": "both locked"}, "passphrase", r"both-locked\.pem is encrypted"),
        ({"cert": "chain", "key": "locked", "passphrase": "wrong"}, "passphrase", "does not open .*locked"),
        ({"cert": "chain", "key": "locked", "passphrase": "x" * 2000}, "passphrase", "cannot be used"),
        ({"cert": "chain", "key": "stranger's key"}, "key", r"stranger\.pem is not the one of .*chain\.pem"),
        ({"cert": "chain"}, "cert", r"chain\.pem"),
        ({"cert": "key", "key": "key"}, "cert", r"key\.pem and .*key\.pem"),
        ({"cert": "garbage", "key": "key"}, "cert", r"garbage\.pem"),
        ({"cert": "chain", "key": "empty"}, "cert", r"empty\.pem"),
        ({"cert": "chain", "key": "key", "ca": "garbage"}, "ca", r"garbage\.pem"),
        ({"cert": "chain", "key": "key", "ca": "empty"}, "ca", r"empty\.pem"),
        ({"pfx": "chain"}, "pfx", r"chain\.pem"),
        ({"pfx": "empty"}, "pfx", r"empty\.pem"),
        ({"pfx": "chain", "cert": "chain"}, "pfx", "not both"),
        ({"pfx": "chain", "key": "key"}, "pfx", "not both"),
        ({"key": "key"}, "cert", "cert and key, or pfx"),
        ({}, "cert", "cert and key, or pfx"),
    ],
)
def test_files_that_make_no_certificate(
    pem: dict[str, str], files: dict[str, str], option: str, message: str
) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        tls_context(**{name: pem.get(value, value) for name, value in files.items()})
    assert caught.value.option == option


@pytest.mark.parametrize(("right", "wrong"), [(PASSPHRASE, "wrong"), (PASSPHRASE, None), (None, "wrong")])
def test_a_wrong_passphrase_of_a_bundle(family: Family, right: str | None, wrong: str | None) -> None:
    path = family.bundle("server.pfx", right)
    with pytest.raises(OptionError, match=r"server\.pfx.*passphrase") as caught:
        tls_context(pfx=path, passphrase=wrong)
    assert caught.value.option == "pfx"
    assert (wrong or PASSPHRASE) not in str(caught.value)


def test_a_bundle_without_a_key(family: Family) -> None:
    certificate = family.server.certificate
    data = pkcs12.serialize_key_and_certificates(None, None, certificate, None, NoEncryption())
    path = family.write("keyless.pfx", data)
    with pytest.raises(OptionError, match=r"keyless\.pfx holds no certificate with its private key"):
        tls_context(pfx=path)


@pytest.mark.parametrize("option", ["cert", "key", "ca", "pfx"])
def test_a_file_that_is_not_there_is_named(pem: dict[str, str], option: str) -> None:
    files = {} if option == "pfx" else {"cert": pem["chain"], "key": pem["key"]}
    with pytest.raises(FileNotFoundError, match=r"/nowhere/file\.pem"):
        tls_context(**{**files, option: "/nowhere/file.pem"})
