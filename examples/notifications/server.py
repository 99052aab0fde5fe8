"""Notifications for users and roles. Each goes to a private topic, and a page's token says which of
them it may hear. The token lives for a minute; the session of the user decides about the next one.
"""

import os
import secrets
import time
from collections import deque
from functools import wraps
from itertools import count

import jwt
import redis
from flask import Flask, g, jsonify, request, session

PORT = int(os.environ.get("PORT", "3003"))
FANTAIL_URL = os.environ.get("FANTAIL_URL", "http://127.0.0.1:8080/")
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:7379")
SECRET = os.environ.get("FANTAIL_JWT_SECRET", "the-secret-of-the-examples-is-no-secret")
TOKEN_SECONDS = int(os.environ.get("TOKEN_SECONDS", "60"))

# In a database, with hashes. Here the password of each is the name.
ROLES = {"ada": ["editor", "admin"], "bo": ["editor"], "cy": ["support"]}

app = Flask(__name__, static_folder="public", static_url_path="")
app.config.update(
    SECRET_KEY=secrets.token_bytes(32),  # a new one ends all sessions
    SESSION_COOKIE_NAME="notifications",
    SESSION_COOKIE_SAMESITE="Strict",
)
hub = redis.Redis.from_url(REDIS_URL)
numbers = count(1)
kept = deque(maxlen=200)


def topics_of(user):
    roles = [f"notifications/role/{role}" for role in ROLES[user]]
    return [f"notifications/user/{user}", *roles]


def problem(status, text):
    return jsonify(error=text), status


def signed_in(view):
    @wraps(view)
    def checked():
        g.user = session.get("user")
        return view() if g.user in ROLES else problem(401, "sign in first")

    return checked


@app.get("/")
def page():
    return app.send_static_file("index.html")


@app.get("/api/session")
@signed_in
def who():
    return jsonify(user=g.user, roles=ROLES[g.user], topics=topics_of(g.user), url=FANTAIL_URL)


@app.post("/api/session")
def sign_in():
    user, password = (str(request.get_json().get(name)) for name in ("user", "password"))
    if user not in ROLES or not secrets.compare_digest(user.encode(), password.encode()):
        return problem(403, "no such user and password")
    session["user"] = user
    return jsonify(user=user)


@app.delete("/api/session")
def sign_out():
    session.clear()
    return "", 204


@app.post("/api/token")
@signed_in
def token():
    """What the page's stream may hear, for a minute. Another tab may have signed in another user."""
    if request.get_json().get("user") != g.user:
        return problem(401, "this user is not signed in any more")
    now = time.time()
    claims = {
        "sub": g.user,
        "mercure": {"subscribe": topics_of(g.user)},
        "iat": now,
        "exp": now + TOKEN_SECONDS,
    }
    return jwt.encode(claims, SECRET, algorithm="HS256"), {"Content-Type": "text/plain"}


@app.get("/api/notifications")
@signed_in
def notifications():
    topics = topics_of(g.user)
    return jsonify([each for each in reversed(kept) if each["topic"] in topics])


@app.post("/api/notifications")
@signed_in
def send():
    kind, _, name = str(request.get_json().get("to")).partition("/")
    text = str(request.get_json().get("text", "")).strip()
    if not text or len(text) > 200:
        return problem(400, "a text of 1 to 200 characters is needed")
    if kind == "role" and "admin" not in ROLES[g.user]:
        return problem(403, "only admins write to roles")
    names = {"user": ROLES, "role": {role for roles in ROLES.values() for role in roles}}
    if name not in names.get(kind, ()):
        return problem(404, f"there is no {kind} {name}")
    topic = f"notifications/{kind}/{name}"
    notification = {"id": next(numbers), "topic": topic, "from": g.user, "text": text}
    # First what a page loads, then the event: a page that loads between has it twice, never not at all.
    kept.append(notification)
    try:
        data = app.json.dumps(notification)
        hub.xadd(topic, {"event": "notification", "private": 1, "data": data})
    except redis.ConnectionError:
        kept.remove(notification)
        return problem(503, "not sent; try again")
    return jsonify(notification), 201


if __name__ == "__main__":
    print(f"notifications are at http://127.0.0.1:{PORT}/")
    app.run(port=PORT, threaded=True)
