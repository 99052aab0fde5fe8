"""How the Rust tests and these scripts talk: one JSON object a line, orders on standard input, reports on standard output."""

import json
import sys
import threading

_one_at_a_time = threading.Lock()


def say(**report):
    with _one_at_a_time:
        print(json.dumps(report), flush=True)


def orders():
    """Every order; ends when the test closes our standard input."""
    for line in sys.stdin:
        yield json.loads(line)
