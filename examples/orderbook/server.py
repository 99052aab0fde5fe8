"""The server of a market: 5,000 changes of its order book a second, published with a Redis client.

Each change is an event of one topic. A page loads the whole book, with the id of the last event
that is in it, and applies the events that follow.
"""

import os
import random
import threading
import time

import redis
from flask import Flask, jsonify, request

PORT = int(os.environ.get("PORT", "3004"))
FANTAIL_URL = os.environ.get("FANTAIL_URL", "http://127.0.0.1:8080/")
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:7379")

TOPIC = "orderbook/BTC-EUR"
RATE = int(os.environ.get("RATE", "5000"))  # changes a second
TICK = 0.02  # seconds; the changes of a tick are published together
BATCH_MAX = 4_000  # a node takes 4,096 commands in one transaction
MIDDLE = 60_000  # price
DEPTH = 20  # prices of each side


class Book:
    """The sizes at each price. What is read under the lock belongs together."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sides = {"bids": {}, "asks": {}}
        self.change = 0  # number of the last one
        self.cursor = ""  # id of its event

    def set(self, side, price, size):
        """Size 0 removes the price. Returns the data of the event."""
        if size:
            self.sides[side][price] = size
        else:
            self.sides[side].pop(price, None)
        self.change += 1
        return f'["{side}",{price},{size},{self.change}]'

    def snapshot(self):
        with self.lock:
            sides = {side: list(sizes.items()) for side, sizes in self.sides.items()}
            return {**sides, "change": self.change, "cursor": self.cursor}


class Market(threading.Thread):
    """Changes the book at an even rate, and publishes the changes."""

    def __init__(self, book):
        super().__init__(daemon=True)
        self.book = book
        self.running = threading.Event()
        self.redis = redis.Redis.from_url(REDIS_URL, decode_responses=True)
        self.mark = None

    def run(self):
        due = time.monotonic()
        while self.running.wait():
            now = time.monotonic()
            due = max(due, now - 0.5)  # what a pause left out is not made up for
            count = min(int((now - due) * RATE), BATCH_MAX)
            if count:
                due += count / RATE
                self.step(count)
            time.sleep(TICK)

    def step(self, count):
        book = self.book
        with book.lock:  # no snapshot is made between the levels and their events
            data = [book.set(*self.anything()) for _ in range(count)]
            book.cursor = self.publish(data)

    @staticmethod
    def anything():
        distance = random.randint(1, DEPTH)
        size = random.choice((0, random.randint(1, 999)))
        if random.random() < 0.5:
            return "bids", MIDDLE - distance, size
        return "asks", MIDDLE + distance, size

    def publish(self, data):
        """Publishes all or nothing, and returns the cursor. What may not have arrived is published
        again: the events set values, so it does no harm if they come twice."""
        while True:
            try:
                # An id and the node's mark are a cursor. A new node has a new mark.
                self.mark = self.mark or self.redis.info("fantail")["event_id_mark"]
                batch = self.redis.pipeline()  # MULTI … EXEC
                for text in data:
                    batch.xadd(TOPIC, {"event": "level", "data": text})
                return f"{batch.execute()[-1]}.{self.mark}"
            except redis.ConnectionError:
                self.mark = None
                time.sleep(0.5)


app = Flask(__name__, static_folder="public", static_url_path="")
book = Book()
market = Market(book)


@app.get("/")
def page():
    return app.send_static_file("index.html")


@app.get("/api/hub")
def hub():
    return jsonify(url=FANTAIL_URL, topic=TOPIC)


@app.get("/api/book")
def snapshot():
    return jsonify(book.snapshot())


@app.post("/api/running")
def running():
    if request.get_json() is True:
        market.running.set()
    else:
        market.running.clear()
    return jsonify(market.running.is_set())


if __name__ == "__main__":
    market.running.set()
    market.start()
    print(f"the order book is at http://127.0.0.1:{PORT}/")
    app.run(port=PORT, threaded=True)
