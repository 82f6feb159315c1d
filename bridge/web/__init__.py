"""The web door: every URL of the product."""

from .routes import build

__all__ = ["build"]
