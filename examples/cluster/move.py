"""Copies the events of a node that stands alone into the log of a cluster, and goes on until that node ends.

    python3 move.py http://127.0.0.1:8080 redis://127.0.0.1:6379 [TOKEN]

It reads the node's stream of all topics, from the oldest event that is kept, and appends each event to the log
with the id that clients know as its own id. So a client that comes to the cluster with the id of an event goes on
behind that event. It needs the package `redis`, and nothing else. Started again, it goes on where it was.

TOKEN is for a node with keys. It has to grant `*` (`{"mercure": {"subscribe": ["*"]}}`), and the node needs
`anonymous = true`: an event that a stream without a token is not sent is private. A private event is copied when
the next public one, or the node's end, has shown that.
"""

import http.client
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import redis

KEY = "fantail"
# The id of the last event that was copied.
PLACE = "{fantail}:moved"


def blocks(node, token, after):
    """The blocks of the stream of all topics, as lists of (name, value), until the stream ends."""
    query = urllib.parse.urlencode({"topic": "*", "with": "topic", "last_event_id": after})
    request = urllib.request.Request(f"{node}/events?{query}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=60) as stream:
        block = []
        for line in stream:
            line = line.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(":")
                block.append((name, value.removeprefix(" ")))
            else:
                yield block
                block = []


def entry(block):
    """The id of an event and its fields for the log; None for a heartbeat, a prime or a gap."""
    values = {}
    for name, value in block:
        values.setdefault(name, []).append(value)
    if "data" not in values:
        return None
    if values.get("event") == ["gap"]:
        print("the node no longer has some events:", values["data"][0], file=sys.stderr)
        return None
    # A topic with control characters is written as JSON.
    topics = [json.loads(t) if t.startswith('"') else t for t in values.get("topic", [])]
    # Starts and ends of subscriptions are the node's own.
    if not topics or topics[0].startswith("/.well-known/mercure"):
        return None
    fields = [word for topic in topics for word in ("topic", topic)]
    fields += ["id", values["id"][0], "data", "\n".join(values["data"])]
    for name in ("event", "retry"):
        if name in values:
            fields += [name, values[name][0]]
    return values["id"][0], fields


def events(node, token, after):
    """The events of the node, until it has ended: it takes no connection any more."""
    has_answered = False
    while True:
        try:
            for block in blocks(node, token, after):
                has_answered = True
                event = entry(block)
                if event:
                    yield event
                after = dict(block).get("id", after)
        except urllib.error.HTTPError as error:
            # It drains, or is full.
            if error.code != 503:
                raise
        except urllib.error.URLError as error:
            if not has_answered:
                raise
            if isinstance(error.reason, ConnectionRefusedError):
                return
        except (OSError, http.client.HTTPException):
            # The connection broke, or was silent for long.
            pass
        time.sleep(0.2)


def main(node, log, token=None):
    log = redis.Redis.from_url(log, decode_responses=True)
    after = log.get(PLACE) or "earliest"
    public = events(node, None, after) if token else None
    expected = None
    copied = 0
    for event in events(node, token, after):
        event_id, fields = event
        if public:
            expected = expected or next(public, "the end")
            if expected == event:
                expected = None
            else:
                fields = [*fields, "private", "1"]
        with log.pipeline(transaction=True) as both:
            both.execute_command("XADD", KEY, "*", *fields)
            both.set(PLACE, event_id)
            both.execute()
        copied += 1
    print(f"{copied} events were copied; the node has ended")


main(*sys.argv[1:])
