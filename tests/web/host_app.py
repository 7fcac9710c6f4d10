"""A host app with a way to sign in of its own, on the database of the environment: what gunicorn runs in the tests."""

import os

from flask import Flask, session

from core.db import normalise_url
from web import create_blueprint

app = Flask(__name__)
app.config["SECRET_KEY"] = "known to the tests alone"
app.register_blueprint(
    create_blueprint(
        normalise_url(os.environ["DATABASE_URL"]),
        current_person=lambda: session.get("user"),
        organises=lambda _person_id: (),
        most_streams_of_address=int(os.environ.get("MOST_STREAMS_OF_ADDRESS", "200")),
    ),
    url_prefix="/tunes",
)


@app.get("/sign-in/<int:person_id>")
def sign_in(person_id: int) -> str:
    session["user"] = person_id
    return "signed in"
