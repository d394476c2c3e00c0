"""Masks in forms that only local steps read or compare."""
