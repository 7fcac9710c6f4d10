"""The people pages: a blueprint that an app mounts, and a small app around it for development and demonstration."""

from web.app import create_app
from web.blueprint import create_blueprint
from web.hub import drain

__all__ = ["create_app", "create_blueprint", "drain"]
