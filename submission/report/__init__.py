"""Write one self-contained HTML page about a run: tissue, masks, curves, timeline, installation, scores."""
