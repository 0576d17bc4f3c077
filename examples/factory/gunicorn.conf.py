"""Settings of gunicorn for a Primus application."""

# gunicorn tells an application nothing about SIGTERM; this hook has every Primus say goodbye to its clients.
from primus_gevent.hosts.gunicorn import post_worker_init  # noqa: F401

bind = "127.0.0.1:8080"
worker_class = "gevent"
workers = 1  # `primus.write` reaches the sparks of its own process
graceful_timeout = 30  # seconds a worker may take to end; the drain gets four fifths of it
max_requests = 0  # each handshake counts as a request: do not restart a worker for having many clients
