"""Serves the page, tells it where the node is, and writes a line for each request, as web servers do."""

import json
import os
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ.get("PORT", "3005"))
FANTAIL_URL = os.environ.get("FANTAIL_URL", "http://127.0.0.1:8080/")


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/api/hub":
            return super().do_GET()
        body = json.dumps({"url": FANTAIL_URL}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    print(f"the log is at http://127.0.0.1:{PORT}/")
    ThreadingHTTPServer(("127.0.0.1", PORT), partial(Handler, directory="public")).serve_forever()
