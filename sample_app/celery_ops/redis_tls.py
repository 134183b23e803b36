"""Connections to Redis that trust the broker's CA, and no other.

redis-py trusts all of the system's besides, and reads them for each connection: a tenth of a second of OpenSSL 3.0
(redis/connection.py, SSLConnection._wrap_socket_with_ssl; redis-py 8.1.0).
"""

from __future__ import annotations

import ssl
from socket import socket
from typing import Any

from redis.connection import SSLConnection


class Connection(SSLConnection):
    def _wrap_socket_with_ssl(self, sock: socket) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.ca_certs)
        context.check_hostname, context.verify_mode = self.check_hostname, self.cert_reqs
        # One that another signed, and whose root is not told; Python 3.13's default.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if self.certfile:
            context.load_cert_chain(self.certfile, self.keyfile, self.certificate_password)
        if self.ssl_min_version is not None:
            context.minimum_version = self.ssl_min_version
        if self.ssl_ciphers:
            context.set_ciphers(self.ssl_ciphers)
        return context.wrap_socket(sock, server_hostname=self.host)


def connect_to_sentinels(sentinel: Any) -> None:
    """So, too. They are asked by clients that redis-py makes itself (redis/sentinel.py, Sentinel)."""
    for client in sentinel.sentinels:
        if issubclass(client.connection_pool.connection_class, SSLConnection):
            client.connection_pool.connection_class = Connection
