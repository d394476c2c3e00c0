"""What to run next, what it costs, and which results have to be kept."""
