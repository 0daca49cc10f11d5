#!/usr/bin/env python3
"""probe.py FOLDER: starts a web server on a folder, as the node would, and reads its first page back from it."""

import functools
import http.server
import os
import sys
import threading
import urllib.request

folder = sys.argv[1]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
handler.func.log_message = lambda *words: None
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(f"http://127.0.0.1:{server.server_port}/index.html", timeout=10) as answer:
    served = answer.read()
with open(os.path.join(folder, "index.html"), "rb") as page:
    sys.exit(0 if served == page.read() else 1)
