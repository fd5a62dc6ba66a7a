"""Plays the original cases of the Autobahn test suite against an echo server.

The suite is written for Python 2 and its own client does not run on Python 3. Its cases are small scripts, though, that only need a
client to play them: this is one. The cases are converted by lib2to3 (Python 3.11) and read as Latin-1, so that their strings are
bytes as they were; what they expect and how they judge stays theirs.

    pip download --no-deps --no-binary :all: autobahntestsuite==25.10.1 && tar xzf autobahntestsuite-25.10.1.tar.gz
    go test -v -run TestServe -echo 127.0.0.1:9001 ./internal/websocket &
    python3.11 internal/websocket/testdata/autobahn.py autobahntestsuite-25.10.1 127.0.0.1:9001 '[1-9]\\.|10'

The last argument is a pattern of case numbers. Cases that are not OK are printed, then a tally by chapter.
"""

import binascii
import codecs
import heapq
import importlib
import os
import pathlib
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import types
import zlib
from collections import Counter


def raw(value):
    return value.encode("latin-1") if isinstance(value, str) else bytes(value)


def plain(value):
    """A form in which what was expected and what was received can be compared."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("latin-1")
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


class Protocol:
    STATE_CLOSED, STATE_CONNECTING, STATE_CLOSING, STATE_OPEN = range(4)
    CLOSE_STATUS_CODE_NORMAL = 1000
    CLOSE_STATUS_CODE_GOING_AWAY = 1001
    CLOSE_STATUS_CODE_PROTOCOL_ERROR = 1002
    CLOSE_STATUS_CODE_INVALID_PAYLOAD = 1007


class Validator:
    def __init__(self):
        self.reset()

    def reset(self):
        self.decoder = codecs.getincrementaldecoder("utf-8")()

    def validate(self, data):
        try:
            self.decoder.decode(raw(data))
        except UnicodeDecodeError as error:
            return False, False, error.start, error.start
        return True, not self.decoder.getstate()[0], 0, 0


class Offer:
    def __init__(self, requestNoContextTakeover=False, requestMaxWindowBits=0):
        self.requestNoContextTakeover, self.requestMaxWindowBits = requestNoContextTakeover, requestMaxWindowBits

    def __str__(self):
        text = "permessage-deflate; client_no_context_takeover; client_max_window_bits"
        if self.requestNoContextTakeover:
            text += "; server_no_context_takeover"
        if self.requestMaxWindowBits:
            text += f"; server_max_window_bits={self.requestMaxWindowBits}"
        return text


class Answer:
    def __init__(self, *_):
        pass


def load(suite):
    """Converts and imports the suite's cases, with stand-ins for the modules that they import."""
    folder = pathlib.Path(tempfile.mkdtemp())
    shutil.copytree(suite / "autobahntestsuite" / "case", folder / "suite")
    subprocess.run([sys.executable, "-W", "ignore", "-m", "lib2to3", "-w", "-n", str(folder / "suite")], check=True, capture_output=True)
    for path in (folder / "suite").glob("*.py"):
        text = re.sub(r"coding ?[=:] ?utf-?8", "coding: latin-1", path.read_text(), flags=re.IGNORECASE)
        text = text.replace("(object, Case, )", "(Case,)").replace("payload) / self.p", "payload) // self.p")
        text = text.replace("pickle.dumps(obj1) == pickle.dumps(obj2)", "plain(obj1) == plain(obj2)")
        path.write_text("# coding: latin-1\n" + text)

    def module(name, **names):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(names)

    for name in ("autobahn", "autobahn.websocket", "twisted", "zope"):
        module(name)
    module("autobahn.websocket.protocol", WebSocketProtocol=Protocol)
    module("autobahn.websocket.utf8validator", Utf8Validator=Validator)
    module("autobahn.websocket.compress", PerMessageDeflateOffer=Offer, PerMessageDeflateResponse=Answer,
           PerMessageDeflateResponseAccept=Answer, PerMessageDeflateOfferAccept=Answer)
    module("twisted.internet", reactor=None, interfaces=types.SimpleNamespace(IPushProducer=None))
    module("zope.interface", implements=lambda *_: None)
    module("pkg_resources", resource_filename=lambda package, name: str(suite / package / name))
    module("binascii", b2a_hex=lambda s: binascii.b2a_hex(raw(s)).decode(), a2b_hex=lambda s: binascii.a2b_hex(raw(s)).decode("latin-1"))
    sys.path.insert(0, str(folder))
    converted = importlib.import_module("suite")
    sys.modules["suite.case"].plain = plain
    return converted.Cases


class Client(Protocol):
    """The client that a case drives; the names are those that cases use."""

    def __init__(self, address, case):
        self.factory = types.SimpleNamespace(isServer=False)
        self.state = self.STATE_CONNECTING
        self.closedByMe = self.failedByMe = self.droppedByMe = self.wasClean = self.connectionWasOpen = False
        self.remoteCloseCode = self.localCloseReason = self.trafficStats = self._perMessageCompress = None
        self.txFrameStats, self.perMessageCompressionOffers, self.autoFragmentSize = Counter(), [], 0
        self.timers, self.out, self.received = [], [], b""
        self.case = case(self)
        self.shake(address)
        self.case.onOpen()
        self.run()
        self.case.onConnectionLost(self.failedByMe)

    def shake(self, address):
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = ["GET / HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        if self.perMessageCompressionOffers:
            request.append("Sec-WebSocket-Extensions: " + ", ".join(map(str, self.perMessageCompressionOffers)))
        self.socket.sendall(("\r\n".join(request) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.received:
            self.received += self.socket.recv(4096)
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        assert b" 101 " in head, head
        self._perMessageCompress = b"permessage-deflate" in head or None
        self.state, self.connectionWasOpen = self.STATE_OPEN, True
        self.socket.setblocking(False)

    def run(self):
        self.frames()
        while self.state != self.STATE_CLOSED:
            if self.timers and self.timers[0][0] <= time.time():
                heapq.heappop(self.timers)[2]()
                continue
            pause = max(0, self.timers[0][0] - time.time()) if self.timers else None
            readable, writable, _ = select.select([self.socket], [self.socket] if self.out else [], [], pause)
            try:
                if writable:
                    sent = self.socket.send(self.out[0])
                    self.out[0] = self.out[0][sent:]
                    if not self.out[0]:
                        self.out.pop(0)
                if readable:
                    data = self.socket.recv(1 << 20)
                    self.received += data
                    self.frames()
                    if not data:
                        break
            except BlockingIOError:
                continue
            except OSError:
                break
        self.state = self.STATE_CLOSED
        self.socket.close()

    def frames(self):
        while len(self.received) >= 2 and self.state != self.STATE_CLOSED:
            first, length, size = self.received[0], self.received[1], 2
            if length > 125:
                size = 4 if length == 126 else 10
                if len(self.received) < size:
                    return
                length = int.from_bytes(self.received[2:size], "big")
            if len(self.received) < size + length:
                return
            payload, self.received = self.received[size:size + length], self.received[size + length:]
            self.frame(first, payload)

    def frame(self, first, payload):
        match first & 0x0F:
            case 8:
                if payload:
                    self.remoteCloseCode = int.from_bytes(payload[:2], "big")
                self.wasClean = True
                self.closing(self.remoteCloseCode, None)
            case 9:
                self.case.onPing(plain(payload))
                self.sendFrame(10, payload)
            case 10:
                self.case.onPong(plain(payload))
            case op:
                assert first & 0xB0 == 0x80 and op in (1, 2), hex(first)
                if first & 0x40:
                    payload = zlib.decompress(payload + b"\0\0\xff\xff\1\0\0\xff\xff", -15)
                self.case.onMessage(payload if self._perMessageCompress else plain(payload), op == 2)

    def continueLater(self, delay, action, tag=None):
        heapq.heappush(self.timers, (time.time() + delay, len(self.timers) + time.monotonic(), action))

    def killAfter(self, delay):
        self.continueLater(delay, self.kill)

    def closeAfter(self, delay):
        self.continueLater(delay, self.sendClose)

    def kill(self):
        self.closedByMe = self.failedByMe = True
        self.drop()

    def drop(self):
        self.droppedByMe, self.state = True, self.STATE_CLOSED

    def enableWirelog(self, on):
        pass

    def header(self, op, fin, rsv, length, key):
        short = length if length < 126 else 126 if length < 65536 else 127
        head = bytes([fin << 7 | (rsv or 0) << 4 | op, 0x80 | short])
        return head + (struct.pack(">H", length) if short == 126 else struct.pack(">Q", length) if short == 127 else b"") + key

    def masked(self, data, key):
        pad = (key * (len(data) // 4 + 1))[:len(data)]
        return (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(data), "big")

    def sendFrame(self, opcode, payload="", fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, sync=False):
        data, key = raw(payload), os.urandom(4)
        if payload_len is not None:
            data = (data * (payload_len // max(1, len(data)) + 1))[:payload_len]
        self.txFrameStats[opcode] += 1
        wire = self.header(opcode, fin, rsv, len(data), key) + self.masked(data, key)
        step = chopsize or len(wire)
        self.out += [wire[i:i + step] for i in range(0, len(wire), step)]

    def sendMessage(self, payload, isBinary=False, fragmentSize=None):
        data, rsv, op = raw(payload), 0, 2 if isBinary else 1
        if self._perMessageCompress:
            deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
            data, rsv = (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4], 4
        step = fragmentSize or self.autoFragmentSize or max(1, len(data))
        for i in range(0, max(1, len(data)), step):
            self.sendFrame(0 if i else op, data[i:i + step], i + step >= len(data), 0 if i else rsv)

    def beginMessage(self, isBinary=False):
        self.begun = 2 if isBinary else 1

    def beginMessageFrame(self, length):
        self.key = os.urandom(4)
        self.out.append(self.header(self.begun, False, 0, length, self.key))
        self.begun = 0

    def sendMessageFrameData(self, payload, sync=False):
        data = raw(payload)
        self.out.append(self.masked(data, self.key))
        turn = len(data) % 4
        self.key = self.key[turn:] + self.key[:turn]
        return 1

    def endMessage(self):
        self.sendFrame(0)

    def sendClose(self, code=None, reason=None):
        self.sendCloseFrame(code, reason)

    def sendCloseFrame(self, code=None, reasonUtf8=None):
        if self.state == self.STATE_OPEN:
            self.closedByMe = True
            self.closing(code, reasonUtf8)

    def closing(self, code, reason):
        if self.state != self.STATE_OPEN:
            return
        self.sendFrame(8, b"" if code is None else struct.pack(">H", code) + raw(reason or ""))
        self.state, self.localCloseReason = self.STATE_CLOSING, reason
        self.continueLater(10, self.drop)


def main():
    suite, address, pattern = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2].rsplit(":", 1), re.compile(sys.argv[3])
    tally = Counter()
    for case in load(suite):
        number = case.__name__.removeprefix("Case").replace("_", ".")
        if not pattern.match(number):
            continue
        run = Client((address[0], int(address[1])), case).case
        tally[number.split(".")[0], run.behavior, run.behaviorClose] += 1
        if not {run.behavior, run.behaviorClose} <= {"OK", "INFORMATIONAL"}:
            print(number, run.behavior, run.behaviorClose, run.result, run.resultClose, sep="; ", flush=True)
    for (chapter, behavior, close), count in sorted(tally.items(), key=lambda item: (int(item[0][0]), item[0])):
        print(f"chapter {chapter}: {count} cases {behavior}, close {close}")


if __name__ == "__main__":
    main()
