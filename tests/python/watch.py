"""The packages httpx-sse and sseclient-py as clients. Order: {url, tokens}; each connection takes the next token, the last one serves for good.

Neither comes back by itself, so this does what their manuals say: it asks again with the id of the last event.

Usage: watch.py httpx-sse|sseclient-py
"""

import os
import sys
import threading
import time

import httpx
from httpx_sse import EventSource
from sseclient import SSEClient

from talk import orders, say

# Between two connections, in seconds.
PAUSE = 0.05


def by_httpx_sse(response):
    for event in EventSource(response).iter_sse():
        yield event.event, event.id, event.data


def by_sseclient(response):
    for event in SSEClient(response.iter_bytes()).events():
        yield event.event, event.id, event.data


def connect(client, read, url, token, cursor):
    """Reads one stream to its end; the cursor from which to go on, and the status."""
    headers = {"Accept": "text/event-stream"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if cursor:
        headers["Last-Event-ID"] = cursor
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code != 200:
            return cursor, response.status_code
        say(type="open")
        try:
            for name, event_id, data in read(response):
                cursor = event_id or cursor
                # httpx-sse also gives blocks that only move the cursor; whoever uses it passes over them.
                if data:
                    say(type="event", event=name, id=cursor, data=data)
        except httpx.RemoteProtocolError:
            pass  # the stream was cut off in the middle, which is an end like any other
    return cursor, 200


def watch(read, url, tokens, cursor=None):
    with httpx.Client(timeout=None, trust_env=False) as client:
        while True:
            token = tokens.pop(0) if len(tokens) > 1 else next(iter(tokens), None)
            cursor, status = connect(client, read, url, token, cursor)
            say(type="error", closed=status != 200, status=status)
            if status != 200:
                return
            time.sleep(PAUSE)


def main():
    read = {"httpx-sse": by_httpx_sse, "sseclient-py": by_sseclient}[sys.argv[1]]
    say(type="ready", origin=None)
    for order in orders():
        arguments = (read, order["url"], order.get("tokens", []))
        threading.Thread(target=watch, args=arguments, daemon=True).start()
    # The threads wait for streams that do not end.
    os._exit(0)


main()
