"""Voyado with one call for each row: what batches are measured against."""

from .batches import SINGLE as target

__all__ = ["target"]
