"""Publishes with redis-py, as its users do. Usage: redis_pipeline.py PORT PROTOCOL; says what each step gave, a line of JSON each."""

import sys

import redis

from talk import say

BROADCAST = "for i = 2, #ARGV do\n  redis.call('publish', ARGV[i], ARGV[1])\nend"

client = redis.Redis(port=int(sys.argv[1]), protocol=int(sys.argv[2]), decode_responses=True)


def multi():
    # A transaction by default.
    with client.pipeline() as pipeline:
        return pipeline.publish("t", "1").xadd("t", {"data": "2"}).publish("t", "3").execute()


def bad():
    with client.pipeline() as pipeline:
        return pipeline.publish("t", "lost").publish("", "x").publish("t", "lost").execute()


def pipeline():
    with client.pipeline(transaction=False) as pipeline:
        return pipeline.publish("t", "4").publish("t", "5").execute()


def script():
    # Sends EVALSHA first, and loads the script where it is not known.
    return client.register_script(BROADCAST)(args=["6", "t", "other"])


def watched():
    # Another connection changes the topic in the first round.
    rounds = []

    def publish(pipeline):
        rounds.append(len(rounds))
        if len(rounds) == 1:
            client.publish("t", "7")
        pipeline.multi()
        pipeline.publish("t", "8")

    client.transaction(publish, "t")
    return len(rounds)


for step in (multi, bad, pipeline, script, watched):
    try:
        say(step=step.__name__, value=step())
    except redis.RedisError as error:
        say(step=step.__name__, error=str(error))
