"""What runs in install.py: makes the wheels of a bundle importable, in a notebook or in a process."""
