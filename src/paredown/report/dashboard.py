"""optuna-dashboard on a study, to look at and nothing else: on this machine alone, without a way to change the study.

Three locks, each of which holds alone. The database connections refuse to write. Requests that could change something (all but GET and
HEAD) are refused before optuna-dashboard sees them. And a page of some other site cannot reach it through the user's browser: the socket
is bound to the loopback address, and a request must name that host, or a name that was made to point there ("DNS rebinding") would do.
"""

import errno
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from paredown.errors import BadInput
from paredown.search.quiet import quiet_optuna
from paredown.search.reading import LOCKED_WAIT_S
from paredown.search.study_folder import read_study

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_HARMLESS = ("GET", "HEAD")


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each request, so that a slow figure does not hold up the page; threads end with the process."""

    daemon_threads = True

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.server_port}/dashboard"


class _Silent(WSGIRequestHandler):
    """Requests are not written to the terminal."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def serving(folder: Path, port: int) -> Iterator[Server]:
    """A server of the study that is bound to its port (0: a free one); `serve_forever` answers until the block ends.

    Raises BadInput where the folder holds no study, the port is taken or not allowed, or the study cannot be read.
    """
    read_study(folder)
    with quiet_optuna():
        from optuna_dashboard import wsgi

        storage = _read_only(folder / "study.db")
        server = _bind(port)
        try:
            server.set_app(guarded(wsgi(storage), server.server_port))
            yield server
        finally:
            server.server_close()
            storage.remove_session()
            storage.engine.dispose()


def guarded(app: "WSGIApplication", port: int) -> "WSGIApplication":
    """The application behind the two locks of requests: 403 for a host that is not this one, and for what could change something."""
    hosts = {*_NAMES, *(f"{name}:{port}" for name in _NAMES)}

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        host, method = environ.get("HTTP_HOST", ""), environ["REQUEST_METHOD"]
        if host.lower() not in hosts:
            return _refuse(start_response, f"this dashboard answers to {HOST} and localhost, not to {host!r}")
        if method not in _HARMLESS:
            return _refuse(start_response, f"this dashboard only shows the study, {method} is refused")
        return app(environ, start_response)

    return answer


def _refuse(start_response: "StartResponse", reason: str) -> Iterable[bytes]:
    start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")])
    return [f"{reason}\n".encode()]


def _bind(port: int) -> Server:
    try:
        return Server((HOST, port), _Silent)
    except OverflowError:
        raise BadInput(f"a port must lie in [0, 65535], got {port}") from None
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is in use" if error.errno == errno.EADDRINUSE else "is not allowed"
        raise BadInput(f"port {port} of {HOST} {why}: choose another with --port, or 0 for any that is free") from None


def _read_only(path: Path) -> Any:
    """Optuna's storage over connections that refuse to write, whatever asks them to."""
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs={"creator": _reader_of(path)})
    except SQLAlchemyError as error:
        raise BadInput(f"{path} cannot be shown: {error.__cause__ or error}") from None


def _reader_of(path: Path) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        place = f"file:{quote(str(path.resolve()))}?mode=rw"  # beside a running study SQLite must be able to lock
        connection = sqlite3.connect(place, uri=True, timeout=LOCKED_WAIT_S, check_same_thread=False)
        connection.execute("PRAGMA query_only=ON")
        return connection

    return connect
