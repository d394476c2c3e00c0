"""HTML pages in one file: charts, pictures of tissue with outlines, and the look they share."""
