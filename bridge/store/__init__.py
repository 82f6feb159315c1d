"""The only SQL. One noun per file, one statement per function, one text for every engine."""

from .db import Row, Sqlite, Store, Tx, open_store
from .migrations import migrate

__all__ = ["Row", "Sqlite", "Store", "Tx", "migrate", "open_store"]
