"""Connections to a server: keys, socket options, and errors of all sockets."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import zmq

POLL_INTERVAL_MS = 20
"""Maximum time for which the lock of a socket is held, and thereby the delay until a wait notices that the socket is closing."""

_Z85 = re.compile(rb"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")


class NoPeer(ConnectionError):
    """No server is connected. Nothing was sent."""


class Closed(RuntimeError):
    """The client was closed."""


@dataclass(frozen=True)
class Keys:
    """Keys of an encrypted connection (CURVE), each of 40 characters in Z85."""

    server_public: str
    client_public: str
    client_secret: str = field(repr=False)

    @classmethod
    def load(cls, server: str | os.PathLike[str], client: str | os.PathLike[str]) -> Keys:
        """Reads key files. The server must know the client's public key.

        Args:
            server: file with the server's public key. Only its owner may write it.
            client: file with the client's secret key. Only its owner may read and write it.

        Raises:
            OSError: a file cannot be read.
            ValueError: a file has other content than one key, or other permissions.
        """
        server_public = _read_key(server, 0o022)
        client_secret = _read_key(client, 0o077)
        return cls(server_public, zmq.curve_public(client_secret.encode()).decode(), client_secret)


def _read_key(path: str | os.PathLike[str], forbidden: int) -> str:
    """Returns the key in a file whose mode has none of the forbidden bits."""
    with open(path, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & forbidden:
            raise ValueError(
                f"key {os.fspath(path)}: found mode {mode:04o}, expected {mode & ~forbidden:04o}: others could use or change it"
            )
        content = file.read().removesuffix(b"\n")
    if not _Z85.fullmatch(content):
        raise ValueError(f"key {os.fspath(path)}: invalid key of {len(content)} bytes, expected 40 characters of Z85")
    return content.decode()


def check_security(endpoint: str, keys: Keys | None, insecure: bool) -> None:
    """Raises ValueError for an endpoint beyond this machine's loopback without keys, unless insecure."""
    if keys is None and not insecure and not _is_local(endpoint):
        raise ValueError(f"{endpoint}: keys or insecure required beyond loopback")


def connect(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    endpoint: str,
    keys: Keys | None,
    max_bytes: int,
    options: Mapping[zmq.SocketOption, int],
) -> zmq.Socket[bytes]:
    """Returns a socket that connects to an endpoint, and reconnects when necessary.

    Args:
        context: context of the socket.
        kind: type of the socket, such as ``zmq.SUB``. A subscriber subscribes to all messages.
        endpoint: endpoint of the server.
        keys: keys for encryption and authentication.
        max_bytes: maximum size of a message part. The socket disconnects a server that sends a larger one.
        options: socket options, in addition to the common ones.

    Raises:
        ValueError: the endpoint is invalid.
    """
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IMMEDIATE, 1)  # Messages do not wait for a server that is not connected.
    socket.setsockopt(zmq.MAXMSGSIZE, max_bytes)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)  # Detects connections to machines that disappeared.
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3000)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
    socket.setsockopt(zmq.IPV6, "[" in endpoint)
    for option, value in options.items():
        socket.setsockopt(option, value)
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server_public.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.client_public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.client_secret.encode())
    if kind == zmq.SUB:
        socket.setsockopt(zmq.SUBSCRIBE, b"")
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise ValueError(f"{endpoint}: cannot connect: {error}") from error
    return socket


def _is_local(endpoint: str) -> bool:
    if not endpoint.startswith("tcp://"):
        return True
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
