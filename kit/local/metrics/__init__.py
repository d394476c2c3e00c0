"""The competition metrics, computed on coded masks."""
