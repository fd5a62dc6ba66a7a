"""The worker process: python -u -m headrace._worker --socket FD [--zygote] app.py[:name]"""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import socket
import sys

from headrace import _frame, _link, _load, _output, _process, _serve, _trace

IMPORT_FAILED = 3


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="headrace._worker")
    parser.add_argument("--socket", type=int, required=True, help="descriptor of the socket to headrace")
    parser.add_argument("--zygote", action="store_true", help="fork workers instead of working")
    parser.add_argument("app", help="app.py or app.py:name")
    options = parser.parse_args(argv)
    for number in (signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # a handler, not SIG_IGN, which child processes would inherit
    if not _process.die_with_parent():
        return _link.SUPERVISOR_GONE
    faulthandler.enable(2)
    sock = socket.socket(fileno=options.socket)
    os.set_inheritable(options.socket, False)
    outlet, out, err = _output.capture()
    try:
        app = _load.load(options.app)
        greeting = _serve.hello(app, _load.split(options.app)[0])
    except BaseException as error:
        try:
            sock.sendall(_frame.encode(_frame.ERROR, 0, _trace.body(error)))
        except OSError:
            return _link.SUPERVISOR_GONE
        return IMPORT_FAILED
    _output.default_logging(outlet)
    if options.zygote:
        from headrace._zygote import Zygote

        child = Zygote(sock).serve(greeting)
        if child is None:
            return 0
        sock = child
        greeting = _serve.hello(app, _load.split(options.app)[0])
    return _serve.Worker(_link.Link(sock), app, outlet, out, err).serve(greeting)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
