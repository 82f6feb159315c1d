"""What the bridge does: one verb per file, no SQL, no vendor names."""
