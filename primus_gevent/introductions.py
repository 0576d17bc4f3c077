"""How a new spark meets the ``connection`` listeners (specification, "Intercepting the `connection` events").

They start in the order of their registration, each in a greenlet of its own, and up to its first blocking
call before the next one starts. One that takes ``next`` holds back the later ones until it calls it; messages
that come meanwhile wait in the spark.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from greenlet import GreenletExit

from .dispatchers import FAILURES
from .errors import ConnectionClosed
from .events import Emitter, Listener

__all__ = ["introduce"]


def introduce(server: Emitter, spark: Any, *, here: bool) -> Callable[[], None] | None:
    """Start the ``connection`` listeners of ``server``, once the caller has returned to the hub, or blocks.

    Args:
        here: the caller's greenlet has nothing else to do: a single listener may run in it.

    Returns:
        With ``here``, what the caller has to call, if there is such a listener.
    """
    listeners = server._registered("connection")
    if here and len(listeners) == 1 and listeners[0].required < 2:
        gevent.get_hub().loop.run_callback(spark.ready)
        if server._claim("connection", listeners[0]):
            return partial(_listen, listeners[0], spark)
    _start(server, spark, listeners, 0)
    return None


def _start(server: Emitter, spark: Any, listeners: tuple[Listener, ...], index: int) -> None:
    # Who wants the end has seen the beginning; behind `next` the end may have been already.
    listen = _listen if index == 0 else _listen_if_open
    for i in range(index, len(listeners)):
        listener = listeners[i]
        if not server._claim("connection", listener):
            continue
        if listener.required >= 2:
            gevent.spawn_raw(listen, listener, spark, _next(server, spark, listeners, i + 1))
            gevent.get_hub().loop.run_callback(spark.announced)
            return
        gevent.spawn_raw(listen, listener, spark)
    gevent.get_hub().loop.run_callback(spark.ready)


def _next(server: Emitter, spark: Any, listeners: tuple[Listener, ...], index: int) -> Callable[..., None]:
    called = False

    def proceed(error: Any = None) -> None:
        nonlocal called
        if called or not spark.writable:
            return
        called = True
        if error and gevent.getcurrent() is gevent.get_hub():
            gevent.spawn_raw(spark.refuse, error)  # listeners hear of it, and they may block
        elif error:
            spark.refuse(error)
        else:
            _start(server, spark, listeners, index)

    return proceed


def _listen_if_open(listener: Listener, spark: Any, *args: Any) -> None:
    if spark.writable:
        _listen(listener, spark, *args)


def _listen(listener: Listener, spark: Any, *args: Any) -> None:
    try:
        listener(spark, *args)
    except ConnectionClosed as error:
        # `while True: spark.read()` ends like this, but the one that ended may be another spark.
        if spark.writable:
            spark.fail(error)
    except GreenletExit:
        spark.end(reconnect=True)  # the host stops
    except FAILURES as error:
        spark.fail(error)
