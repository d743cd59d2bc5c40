"""A dictionary that speaks RESP, by the letter of its specification and nothing else."""

from __future__ import annotations

import socketserver


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.readline():
            assert head[:1] == b"*", head
            command, key, *values = [self._bulk() for _ in range(int(head[1:]))]
            self._answer(command, key, values)

    def _answer(self, command, key, values):
        kept = self.server.kept
        if command == b"SET":
            (kept[key],) = values
            self.wfile.write(b"+OK\r\n")
        elif command == b"GET":
            value = kept.get(key)
            answer = b"$-1" if value is None else b"$%d\r\n%s" % (len(value), value)
            self.wfile.write(answer + b"\r\n")
        else:
            assert command == b"DEL"
            self.wfile.write(b":%d\r\n" % (kept.pop(key, None) is not None))

    def _bulk(self):
        head = self.rfile.readline()
        assert head[:1] == b"$", head
        value = self.rfile.read(int(head[1:]))
        assert self.rfile.read(2) == b"\r\n"
        return value


class RespServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Connection)
        self.kept = {}
