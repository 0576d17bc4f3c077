"""What the documentation tells users of gunicorn to write."""

from __future__ import annotations

from primus_gevent.hosts.gunicorn import post_worker_init  # noqa: F401
