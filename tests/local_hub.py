"""The hub's listing and file endpoints for data sets in memory, on this machine."""

import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import unquote

Repositories = Mapping[str, Mapping[str, bytes]]
"""`<owner>/<name>` -> path in it -> content."""


@contextmanager
def serving(repositories: Repositories) -> Iterator[str]:
    """Gives the address for HF_ENDPOINT."""
    with served_by(partial(_Hub, repositories)) as address:
        yield address


@contextmanager
def served_by(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server of this machine that answers with the handler; gives its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Hub(http.server.BaseHTTPRequestHandler):
    def __init__(self, repositories: Repositories, *args: Any) -> None:
        self._repositories = repositories
        super().__init__(*args)

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        content = self._content(path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.send_header("ETag", f'"{hashlib.sha256(path.encode()).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content or b"")

    do_HEAD = do_GET

    def _content(self, path: str) -> bytes | None:
        for name, files in self._repositories.items():
            if path.startswith(f"/api/datasets/{name}/tree/"):
                listed = [{"type": "file", "path": k, "size": len(v), "oid": k} for k, v in files.items()]
                return json.dumps(listed).encode()
            if path.startswith(f"/datasets/{name}/resolve/main/"):
                return files.get(path.removeprefix(f"/datasets/{name}/resolve/main/"))
        return None

    def log_message(self, *_: object) -> None:
        pass
