"""What all tests share: hypothesis takes the time it needs, timing is never asserted."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
