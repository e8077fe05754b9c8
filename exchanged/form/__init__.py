"""Annex 1 of the circular: the confirmation form, written and read back. Both directions share `layout` and `code`."""
