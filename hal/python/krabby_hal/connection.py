"""How a socket is connected to a server: keys, options, and what is an error for every kind of it."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import zmq

SLICE_MS = 20
"""Bounds how long the lock of a socket is held, and so how late a wait notices that the socket is to be closed."""

_Z85 = re.compile(rb"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")


class NoPeer(ConnectionError):
    """Nothing was sent: no server is at the other end."""


class Closed(RuntimeError):
    """The client was closed."""


@dataclass(frozen=True)
class Keys:
    """The keys of an encrypted connection (CURVE), each of 40 characters in Z85."""

    server_public: str
    client_public: str
    client_secret: str = field(repr=False)

    @classmethod
    def load(cls, server: str | os.PathLike[str], client: str | os.PathLike[str]) -> Keys:
        """Reads the file of the server's public key, and that of the client's secret key, which only its owner may read.

        A file has a key and nothing else. The server must have been told the client's public key.
        """
        server_public = _read_key(server, 0o022)
        client_secret = _read_key(client, 0o077)
        return cls(server_public, zmq.curve_public(client_secret.encode()).decode(), client_secret)


def _read_key(path: str | os.PathLike[str], forbidden: int) -> str:
    with open(path, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & forbidden:
            raise ValueError(f"key {os.fspath(path)}: found mode {mode:04o}, expected {mode & ~forbidden:04o}: others could use or change it")
        content = file.read().removesuffix(b"\n")
    if not _Z85.fullmatch(content):
        raise ValueError(f"key {os.fspath(path)}: found {len(content)} bytes that are no key, expected 40 characters of Z85")
    return content.decode()


def check(endpoint: str, keys: Keys | None, insecure: bool) -> None:
    """Raises ValueError for an endpoint beyond this machine's loopback without keys, unless insecure."""
    if keys is None and not insecure and not _is_local(endpoint):
        raise ValueError(f"{endpoint}: found neither keys nor insecure, expected one of them beyond loopback")


def connect(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str, keys: Keys | None, most_bytes: int, options: Mapping[zmq.SocketOption, int]
) -> zmq.Socket[bytes]:
    """Returns a socket of a kind that connects to an endpoint, and again whenever it must.

    Args:
        context: what the socket is of.
        kind: as ``zmq.SUB``; a subscriber gets everything.
        endpoint: where the server is. ValueError where it is none.
        keys: encrypt and authenticate with these.
        most_bytes: disconnect a server that sends more in one part.
        options: of ZeroMQ, beside those that all sockets have.
    """
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IMMEDIATE, 1)  # What is for a server that is not there must not wait for it.
    socket.setsockopt(zmq.MAXMSGSIZE, most_bytes)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)  # So that a connection to a machine that is gone is made anew.
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3000)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
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
