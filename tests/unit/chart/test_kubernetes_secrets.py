"""What the Job that makes Secrets takes from an answer of the API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from kubernetes_secrets import Cluster, MayPass, Refused


class ApiServer(BaseHTTPRequestHandler):
    """Answers with the status that is the Secret's name, and with half of what it announces."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b'{"kind"')

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with HTTPServer(("127.0.0.1", 0), ApiServer) as server:
        threading.Thread(target=server.serve_forever).start()
        yield Cluster(f"http://127.0.0.1:{server.server_port}", "token", "teas", None)
        server.shutdown()


@pytest.mark.parametrize("status", ["403", "409", "503"])
def test_an_answer_that_may_pass_is_asked_for_again(cluster: Cluster, status: str) -> None:
    with pytest.raises(MayPass, match=status):
        cluster.read(status)


def test_an_answer_that_is_cut_off_is_asked_for_again(cluster: Cluster) -> None:
    with pytest.raises(MayPass, match="is cut off"):
        cluster.read("200")


def test_an_account_that_is_gone_stays_so(cluster: Cluster) -> None:
    with pytest.raises(Refused, match=r"401 .* give it a longer --timeout") as refused:
        cluster.read("401")
    assert not isinstance(refused.value, MayPass)


def test_a_server_that_is_not_there_may_be_later() -> None:
    with pytest.raises(MayPass, match="cannot be reached"):
        Cluster("http://127.0.0.1:1", "token", "teas", None).read("shop-secrets")
