"""Where points are paid."""
