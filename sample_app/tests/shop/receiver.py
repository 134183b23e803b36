"""The other end of a webhook: a real HTTP server that remembers what it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Received:
    key: str
    message: dict[str, Any]
    at: float


class Receiver:
    """Answers with the next of `answers`, then with 200; calls `before_answer` first."""

    def __init__(self) -> None:
        self.clear()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.take(Received(self.headers["Idempotency-Key"], json.loads(body), time.monotonic()))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Keeps the test's output quiet."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def clear(self) -> None:
        self.received: list[Received] = []
        self.answers: list[Answer] = []
        self.before_answer: Callable[[], object] = lambda: None

    def take(self, received: Received) -> Answer:
        self.received.append(received)
        answer = self.answers.pop(0) if self.answers else Answer()
        self.before_answer()
        return answer

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
