"""A tracker of music sessions: what was played where, who was there, and what is on now. It answers with JSON."""

import os

from flask import Flask

from tracker import db, instances, pages, people, sessions


def create_app() -> Flask:
    """Return the app, for a WSGI server."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "only for development")
    db.init_app(app)
    for part in (people, pages, sessions, instances):
        app.register_blueprint(part.blueprint)
    return app
