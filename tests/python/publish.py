"""Publishes with plain httpx, as a Mercure client does. Order: {token, form}; says {status, type, body}.

Usage: publish.py HUB
"""

import sys

import httpx

from talk import orders, say

with httpx.Client(trust_env=False) as client:
    for order in orders():
        headers = {"Authorization": f"Bearer {order['token']}"}
        answer = client.post(sys.argv[1], headers=headers, data=order["form"])
        say(status=answer.status_code, type=answer.headers["content-type"], body=answer.text)
