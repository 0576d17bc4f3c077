"""The Autobahn test suite over whole servers; a case that fails needs its sentence in `EXCEPTIONS`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conformance import autobahn
from tests.conformance.codec_server import codec_server
from tests.support.hosts import serve


@pytest.fixture
def python27() -> None:
    """Python 2.7, which most machines have no more: there the suite is skipped, and says so.

    Under AUTOBAHN_REQUIRED, which continuous integration and `make conformance` set, a run without the suite
    must not look like a pass.
    """
    try:
        autobahn.find_python27()
    except autobahn.Python27MissingError as error:
        if os.environ.get("AUTOBAHN_REQUIRED"):
            raise
        pytest.skip(str(error))


@pytest.mark.conformance
@pytest.mark.slow
@pytest.mark.timeout(autobahn.RUN_SECONDS + 300)
@pytest.mark.usefixtures("python27")
@pytest.mark.soak
@pytest.mark.parametrize("host", ["pywsgi", "gunicorn"])
def test_a_server_passes_every_case(host: str, tmp_path: Path) -> None:
    assert autobahn.judge(played(host, tmp_path, autobahn.GROUPS)) == []


@pytest.mark.conformance
@pytest.mark.slow
@pytest.mark.timeout(autobahn.RUN_SECONDS + 300)
@pytest.mark.usefixtures("python27")
def test_a_server_passes_all_but_the_heaviest_cases(tmp_path: Path) -> None:
    assert autobahn.judge(played("pywsgi", tmp_path, autobahn.MOST)) == []


@pytest.mark.conformance
@pytest.mark.timeout(autobahn.RUN_SECONDS + 300)
@pytest.mark.usefixtures("python27")
def test_gunicorn_passes_all_but_most_of_the_compression_cases(tmp_path: Path) -> None:
    assert autobahn.judge(played("gunicorn", tmp_path, autobahn.BRIEF)) == []


def played(host: str, folder: Path, cases: Sequence[str]) -> list[autobahn.Verdict]:
    with serve(
        host,
        factory="tests.conformance.echo_app:create",
        compression=True,
        max_length=autobahn.MAX_LENGTH,
        max_fragments=autobahn.MAX_FRAGMENTS,
    ) as server:
        return autobahn.run(f"ws://127.0.0.1:{server.port}/primus", folder, cases=cases)


@pytest.mark.conformance
@pytest.mark.timeout(autobahn.RUN_SECONDS + 300)
@pytest.mark.usefixtures("python27")
def test_faye_passes_every_case_without_compression(tmp_path: Path) -> None:
    plain = [f"{section}.*" for section in autobahn.SECTIONS if int(section) < 12]
    with serve(
        "pywsgi",
        factory="tests.conformance.echo_app:create",
        transformer="faye",
        max_length=autobahn.MAX_LENGTH,
        max_fragments=autobahn.MAX_FRAGMENTS,
    ) as server:
        verdicts = autobahn.run(f"ws://127.0.0.1:{server.port}/primus", tmp_path, cases=plain)
    assert [line for line in autobahn.judge(verdicts) if line[:10] not in ("section 12", "section 13")] == []


@pytest.mark.conformance
@pytest.mark.soak
@pytest.mark.timeout(autobahn.RUN_SECONDS + 300)
@pytest.mark.usefixtures("python27")
def test_the_codec_passes_every_case(tmp_path: Path) -> None:
    with codec_server() as url:
        verdicts = autobahn.run(url, tmp_path)
    assert autobahn.judge(verdicts) == []


def report(**changes: tuple[str, str]) -> list[autobahn.Verdict]:
    """A run with one good case in each section, and these verdicts on top ("c6_1" is the case 6.1)."""
    cases = {f"{section}.1": ("OK", "OK") for section in autobahn.SECTIONS}
    cases.update({name[1:].replace("_", "."): verdict for name, verdict in changes.items()})
    return [autobahn.Verdict(case, *verdict) for case, verdict in cases.items()]


def test_a_whole_run_without_failures_is_good() -> None:
    assert (
        autobahn.judge(report(c6_2=("NON-STRICT", "OK"), c7_2=("INFORMATIONAL", "INFORMATIONAL")), {}) == []
    )


def test_a_failure_needs_a_reason_and_a_reason_needs_a_failure() -> None:
    verdicts = report(c6_2=("FAILED", "OK"), c7_2=("OK", "UNCLEAN"))
    assert autobahn.judge(verdicts, {}) == ["6.2: FAILED, close OK", "7.2: OK, close UNCLEAN"]
    assert autobahn.judge(verdicts, {"6.2": "why", "7.2": "why"}) == []
    assert autobahn.judge(report(), {"6.1": "why"}) == ["6.1: passes, so its exception has to go (why)"]
    assert autobahn.judge(report(), {"6.9": "why"}) == ["6.9: excepted, but never run"]


def test_a_run_without_a_section_is_not_a_pass() -> None:
    verdicts = [verdict for verdict in report() if verdict.case != "12.1"]
    assert autobahn.judge(verdicts, {}) == ["section 12: not a single case was run"]


def test_reports_are_read_in_the_order_of_the_cases(tmp_path: Path) -> None:
    index = tmp_path / "index.json"
    good = {"behavior": "OK", "behaviorClose": "OK", "reportfile": "x.json"}
    index.write_text(json.dumps({"us": {"10.1.1": good, "2.10": good, "2.9": good}}))
    verdicts = autobahn.in_order(autobahn.read_report(index, "us"))
    assert [verdict.case for verdict in verdicts] == ["2.9", "2.10", "10.1.1"]
    assert all(verdict.passed for verdict in verdicts)


def test_without_python_27_the_message_says_where_it_was_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHON27", str(tmp_path / "no-such-python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(autobahn.Python27MissingError, match=r"needs Python 2\.7.*no-such-python"):
        autobahn.find_python27()
