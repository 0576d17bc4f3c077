"""From the name of a host to connections to it."""

from __future__ import annotations

import socket as stdlib_socket
from typing import Any

import gevent
import gevent.socket
from gevent import monkey

__all__ = ["connect"]

# What `getaddrinfo` returns for each address: family, type, protocol, canonical name, address.
Found = list[tuple[Any, Any, int, str, Any]]

# Really of the thread, also where `threading` is monkey-patched: the greenlets of a hub belong to a thread.
_local = monkey.get_original("threading", "local")()
_getaddrinfo = monkey.get_original("socket", "getaddrinfo")


def connect(host: str, port: int) -> Any:
    """A gevent socket that is connected to a server, at the first of its addresses that takes us. Blocks.

    Raises:
        OSError: there is no such host, or it cannot be reached.
    """
    failure: OSError | None = None
    for family, kind, protocol, _, address in _look_up(host, port):
        sock = gevent.socket.socket(family, kind, protocol)
        try:
            sock.connect(address)
            # Where nobody listens at a port, the kernel may lend it to us, and TCP lets a socket call itself.
            if sock.getsockname() == address:
                raise ConnectionRefusedError("this is our own end of the connection")
            return sock
        except OSError as error:
            failure = error
            sock.close()
        except BaseException:
            sock.close()
            raise
    if failure is None:
        raise OSError(f"{host} has no address")
    try:
        raise failure
    finally:
        failure = None  # or the error, its traceback and this frame would be a cycle


def _look_up(host: str, port: int) -> Found:
    try:
        # An address needs no resolver, whose threads are few.
        found: Found = _getaddrinfo(host, port, 0, stdlib_socket.SOCK_STREAM, 0, stdlib_socket.AI_NUMERICHOST)
    except stdlib_socket.gaierror:
        found = _ask(host, port)
    return found


def _ask(host: str, port: int) -> Found:
    """One question at a time for each host: when a thousand clients lose their server and its name is slow to
    be found, they would take all the threads of gevent's pool, for as long as their questions take."""
    hub = gevent.get_hub()
    known: tuple[Any, dict[Any, Any]] | None = getattr(_local, "lookups", None)
    if known is None or known[0] is not hub:  # a hub can be destroyed, and its greenlets with it
        known = _local.lookups = (hub, {})
    lookups = known[1]
    lookup = lookups.get((host, port))
    if lookup is None:
        # In a greenlet of its own: who asked first may be killed, and others wait for the answer.
        lookup = lookups[host, port] = gevent.spawn(_answer, host, port)
        lookup.rawlink(lambda _: lookups.pop((host, port), None))
    answer: Found | OSError = lookup.get()
    if isinstance(answer, OSError):
        raise type(answer)(*answer.args)  # each its own, because they get tracebacks and causes
    return answer


def _answer(host: str, port: int) -> Found | OSError:
    try:
        return list(gevent.socket.getaddrinfo(host, port, 0, stdlib_socket.SOCK_STREAM))
    except OSError as error:
        return error.with_traceback(None)
