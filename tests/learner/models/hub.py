"""A small Hugging Face hub on this machine, for the hub's own client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40


class Hub:
    """Serves repositories, each with one commit, and counts what was downloaded."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        """By repository: the content of each file."""
        self.commits: dict[str, str] = {}
        """By repository: the commit that `main` names."""
        self.gated: set[str] = set()
        self.expired = ""
        """A token that is not valid any more."""
        self.downloads: list[str] = []
        """The files whose content was sent."""
        self.url = ""

    def add(self, repository: str, files: dict[str, bytes], commit: str = COMMIT) -> None:
        self.files[repository], self.commits[repository] = files, commit


@contextmanager
def serve() -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            api = parts[:2] == ["api", "models"]
            if len(parts) < 4:
                self.answer(404)
                return
            owner, name, kind, revision, *path = parts[2:] if api else parts
            repository, file = f"{owner}/{name}", "/".join(path)
            if hub.expired and hub.expired in self.headers.get("Authorization", ""):
                self.answer(401, X_Error_Message="Invalid credentials in Authorization header")
            elif repository not in hub.files:
                self.answer(404, X_Error_Code="RepoNotFound")
            elif repository in hub.gated:
                self.answer(403, X_Error_Code="GatedRepo")
            elif revision not in ("main", hub.commits[repository]):
                self.answer(404, X_Error_Code="RevisionNotFound")
            elif kind == "revision":
                self.json({"id": repository, "sha": hub.commits[repository]})
            elif kind == "tree":
                self.json([entry(name, data) for name, data in hub.files[repository].items()])
            else:
                data = hub.files[repository][file]
                if self.command == "GET":
                    hub.downloads.append(file)
                etag = hashlib.sha1(data).hexdigest()
                self.answer(200, data, ETag=f'"{etag}"', X_Repo_Commit=hub.commits[repository])

        do_HEAD = do_GET  # noqa: N815

        def json(self, content: object) -> None:
            self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

    def entry(name: str, data: bytes) -> dict[str, object]:
        oid = hashlib.sha1(data).hexdigest()
        return {"type": "file", "path": name, "size": len(data), "oid": oid}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
