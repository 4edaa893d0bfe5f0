"""``python -m wordcount serve``, or ``check`` whether one is serving."""

from __future__ import annotations

import configparser
import json
import os
import sys
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING
from wsgiref.simple_server import make_server

from plainwords import words

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


def main() -> int:
    """Do what the command line says."""
    settings = configparser.ConfigParser()
    settings.read("wordcount.ini")
    port = int(os.environ.get("PORT") or settings["server"]["port"])
    match sys.argv[1:]:
        case ["serve"]:
            with make_server("127.0.0.1", port, answer) as server:
                print(f"listening on 127.0.0.1:{server.server_port}")
                server.serve_forever()
        case ["check"]:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                print("healthy")
        case _:
            print("usage: wordcount serve|check", file=sys.stderr)
            return 2
    return 0


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Count the words of the request's body, as WSGI has it."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    counted = Counter(words(body.decode()))
    start_response("200 OK", [("Content-Type", "application/json")])
    document = {"version": os.environ.get("VERSION"), "uid": os.getuid(), "words": counted}
    return [json.dumps(document).encode()]


if __name__ == "__main__":
    sys.exit(main())
