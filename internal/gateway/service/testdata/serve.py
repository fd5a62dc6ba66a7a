"""A small service: serve.py SOCKET. It ends at SIGTERM without looking after its requests."""
import http.server
import os
import socketserver
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/wait":
            time.sleep(0.3)
        body = f"{os.environ.get('COLOR', 'python')} {os.getpid()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "local"

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 128
    daemon_threads = True


print("listening on a socket, in", os.getcwd(), flush=True)
Server(sys.argv[1], Handler).serve_forever()
