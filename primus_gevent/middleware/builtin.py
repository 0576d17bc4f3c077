"""The layers that every Primus has (specification, "Middleware"), in the order of the original.

What comes after ``primus.js`` and ``spec`` does not run for these two documents: they need no authorization.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from . import documents
from .cors import OK, AccessControl, is_preflight
from .exchange import Exchange
from .stack import Layer

__all__ = ["NO_CACHE", "layers"]

#: An answer of a real-time connection must never be taken from a cache.
NO_CACHE = (
    ("Cache-Control", "no-store, no-cache, must-revalidate, max-age=0"),
    ("Pragma", "no-cache"),
)
NO_XSS_FILTER = (("X-XSS-Protection", "0"),)


def layers(primus: Any) -> list[Layer]:
    """The layers of one server; `authorization` comes with `Primus.authorize`, but has its place here."""
    options = primus.options
    access = AccessControl(
        origins=options.origins,
        methods=options.methods,
        credentials=options.credentials,
        max_age=options.max_age,
        headers=options.headers,
        exposed=options.exposed,
    )

    def says(question: str, exchange: Exchange) -> bool:
        """What the transformer answers; one that does not know the question says no."""
        answer = getattr(primus.transformer, question, None)
        return answer is not None and bool(answer(exchange))

    # Of a preflight request: whether the protocol has a word on it.
    is_left_to_framework = partial(says, "answers_preflight")
    # Of an origin that is none by its form: whether the protocol has an answer all the same.
    takes_any_form = partial(says, "takes_any_origin")

    def forwarded(exchange: Exchange) -> None:
        exchange.trust(primus.trusted_proxies)

    def cors(exchange: Exchange) -> None:
        headers, answer = access.decide(exchange.environ, partial(takes_any_form, exchange))
        if answer is not None and answer.status == OK and is_left_to_framework(exchange):
            answer = None  # the origin is allowed, and the framework says the rest
        exchange.answer = answer
        exchange.set_headers(headers)

    def primus_js(exchange: Exchange) -> None:
        if exchange.path == "/primus.js":
            exchange.answer = primus.library_response(exchange.environ)

    def spec(exchange: Exchange) -> None:
        if exchange.path == "/spec":
            exchange.answer = documents.spec(primus.spec)

    def authorization(exchange: Exchange) -> None:
        if primus.authorization is None:
            return
        # A browser sends nothing with such a question by which somebody could be known.
        if not (is_preflight(exchange.environ) and is_left_to_framework(exchange)):
            primus.authorization(exchange)

    return [
        Layer("forwarded", forwarded),
        Layer("cors", cors, upgrade=False),
        Layer("primus.js", primus_js, upgrade=False),
        Layer("spec", spec, upgrade=False),
        Layer("x-xss", x_xss, upgrade=False),
        Layer("no-cache", no_cache, upgrade=False),
        Layer("authorization", authorization),
    ]


def x_xss(exchange: Exchange) -> None:
    """Turn off the filter of old Internet Explorers, which breaks JSONP polling."""
    agent = exchange.environ.get("HTTP_USER_AGENT", "").lower()
    # As in the original, whose first pattern no browser matches ("; MSIE 7.0"): only from 8 on it is certain.
    if ";msie" in agent or "trident/" in agent:
        exchange.set_headers(NO_XSS_FILTER)


def no_cache(exchange: Exchange) -> None:
    """Keep every cache away from what is behind this layer."""
    exchange.set_headers(NO_CACHE)
