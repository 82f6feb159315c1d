"""Voyado in batches that read every baseline anew."""

from .batches import READING as target

__all__ = ["target"]
