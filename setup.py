"""Metadata and dependencies of the distribution; every tool setting is in pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """Read the version as text: an import would need the dependencies before they are installed."""
    source = (HERE / "primus_gevent" / "version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', source, re.MULTILINE)
    if found is None:
        raise RuntimeError("primus_gevent/version.py has no __version__")
    return found.group(1)


def long_description() -> str:
    readme = HERE / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


setup(
    name="primus-gevent",
    version=version(),
    description="Primus for Python: one blocking API over every real-time wire protocol, on gevent and WSGI",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    license="MIT",
    author="primus_gevent contributors",
    keywords=["websocket", "realtime", "primus", "gevent", "wsgi", "flask", "gunicorn"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Framework :: Flask",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Internet :: WWW/HTTP :: WSGI",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["primus_gevent", "primus_gevent.*"]),
    package_data={
        "primus_gevent": [
            "py.typed",
            "library/primus.d.ts",
            "library/js/*.js",
            "library/js/**/*.js",
            "demo/*",
            "demo/**/*",
        ]
    },
    zip_safe=False,
    install_requires=[
        "gevent>=24.10.1",
        "greenlet>=3.1.1",
        "werkzeug>=3.0,<4",
        "simplejson>=4.1.2,<5",  # the first that encodes Decimal("NaN") as null
        "gevent-websocket>=0.10.1,<0.11",
    ],
    extras_require={
        # the C masking function of `websockets`, used when it is importable
        "speed": ["websockets>=13"],
        "flask": ["flask>=3.0"],
        "gunicorn": ["gunicorn[gevent]>=20.1"],  # with what its gevent worker imports
        # reads PKCS#12 bundles: the option `pfx` of `create_server`
        "pfx": ["cryptography>=42.0.8"],
        # parsers
        # older ones make room for whatever length a message announces, and those before 1.2 leak broken ones
        "msgpack": ["msgpack>=1.2.4,<2"],
        "orjson": ["orjson>=3.10,<4"],
    },
    entry_points={"console_scripts": ["primus-gevent = primus_gevent.cli:main"]},
)
