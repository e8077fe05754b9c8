"""exchanged."""
