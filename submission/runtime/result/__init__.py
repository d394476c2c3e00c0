"""submission.csv, report.json, and the last lines of a run."""
