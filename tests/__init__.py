"""Ours: mmsegmentation installs a package `tests`, and a folder without this file would lose to it."""
