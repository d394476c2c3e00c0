"""Start the script: its text, its importer, its command line."""
