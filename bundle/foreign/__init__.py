"""Foreign sources: a folder, a source distribution or a git commit becomes a wheel of the bundle."""
