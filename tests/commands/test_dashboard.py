"""`dashboard` as a user starts it: what the page shows is what the study holds, and nothing that is sent to it changes the study."""

import argparse
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from paredown.commands import dashboard
from paredown.errors import BadInput
from paredown.report.dashboard import serving
from paredown.report.front_rows import front_json
from paredown.search.loop import run_study
from tests.search import toy

STARTED = """
import argparse, sys
from paredown.commands import dashboard
from paredown.search.signals import stoppable
parser = argparse.ArgumentParser()
dashboard.add(parser.add_subparsers())
with stoppable():
    options = parser.parse_args(["dashboard", *sys.argv[1:]])
    sys.exit(options.run(options))
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of a toy problem."""
    folder = tmp_path_factory.mktemp("place") / "study"
    with toy.open_study(folder, toy.toy_spec(trials=8, size="12 MB")) as opened:
        run_study(opened, toy.evaluate, toy.given())
    return folder


@dataclass(frozen=True)
class Client:
    """Asks the server, under whatever name."""

    port: int

    def ask(self, method: str, path: str, body: Any = None, host: str | None = None) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json"} | ({} if host is None else {"Host": host})
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def get(self, path: str) -> Any:
        status, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture(scope="module")
def client(study: Path) -> Iterator[Client]:
    with serving(study, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Client(server.server_port)
        server.shutdown()
        thread.join()


def content(study: Path) -> list[str]:
    """Every row of the database."""
    connection = sqlite3.connect(study / "study.db")
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_the_page_and_its_script_are_there(client: Client) -> None:
    status, page = client.ask("GET", "/dashboard")
    assert status == 200
    scripts = re.findall(r'src="(/[^"]+\.js)"', page.decode())
    assert scripts
    for script in scripts:
        status, code = client.ask("GET", script)
        assert status == 200
        assert len(code) > 1000
    assert client.ask("GET", "/dashboard", host="localhost")[0] == 200
    assert client.ask("GET", "/dashboard", host=f"localhost:{client.port}")[0] == 200


def test_trials_are_those_of_the_front(client: Client, study: Path) -> None:
    (summary,) = client.get("/api/studies")["study_summaries"]
    assert summary["study_name"] == "toy"
    detail = client.get(f"/api/studies/{summary['study_id']}")
    rows = {row["trial"]: row for row in front_json(study, every=True)}
    shown = {trial["number"]: trial for trial in detail["trials"] if trial["state"] == "Complete"}
    assert set(shown) == set(rows)
    assert len(rows) > 1
    names = detail["objective_names"]
    assert names == ["quality", "latency_ms@cpu", "size_bytes"]
    for number, row in rows.items():
        assert dict(zip(names, shown[number]["values"], strict=True)) == row["values"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/api/studies/1", {}),
        ("POST", "/api/studies", {"study_name": "mine", "directions": ["minimize"]}),
        ("POST", "/api/studies/1/rename", {"study_name": "mine"}),
        ("PUT", "/api/studies/1/note", {"body": "x", "version": 1}),
        ("POST", "/api/trials/1/tell", {"state": "Fail"}),
        ("PUT", "/api/trials/1/user-attrs", {"user_attrs": {"label": "mine"}}),
        ("PATCH", "/api/studies/1", {}),
        ("OPTIONS", "/api/studies", None),
    ],
)
def test_what_could_change_the_study_is_refused(client: Client, study: Path, method: str, path: str, body: Any) -> None:
    before = content(study)
    status, reason = client.ask(method, path, body)
    assert status == 403
    assert f"{method} is refused".encode() in reason
    assert content(study) == before


def test_the_database_refuses_too(study: Path) -> None:
    import optuna

    from paredown.report.dashboard import _read_only

    storage = _read_only(study / "study.db")
    before = content(study)
    with pytest.raises(optuna.exceptions.StorageInternalError):
        storage.set_study_user_attr(1, "mine", "x")
    assert content(study) == before
    storage.engine.dispose()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "127.0.0.1:1", ""])
def test_another_host_is_refused(client: Client, host: str) -> None:
    status, reason = client.ask("GET", "/api/studies", host=host)
    assert status == 403
    assert b"study_summaries" not in reason


def test_it_listens_on_this_machine_alone(study: Path) -> None:
    with serving(study, 0) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"


def test_a_port_in_use_and_a_folder_without_a_study_are_refused(study: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"port {port} of 127.0.0.1 is in use"), serving(study, port):
            pass
    with pytest.raises(BadInput, match="a study is a folder with"), serving(tmp_path, 0):
        pass
    with pytest.raises(argparse.ArgumentTypeError, match="in \\[0, 65535\\], got '65536'"):
        dashboard._port("65536")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(study: Path, number: signal.Signals) -> None:
    """Also where these tests themselves run behind `&`, where shells have Ctrl-C ignored."""
    command = [sys.executable, "-c", STARTED, str(study), "--port", "0"]
    heard = partial(signal.signal, number, signal.SIG_DFL)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/dashboard", line)
        assert found, process.stderr.read()
        assert Client(int(found[1])).ask("GET", "/dashboard")[0] == 200
        process.send_signal(number)
        try:
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
        assert process.stderr.read().startswith("paredown: the dashboard was stopped by")
    with pytest.raises(ConnectionRefusedError):
        Client(int(found[1])).ask("GET", "/dashboard")
