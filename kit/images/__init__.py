"""TIFF headers and slides, read in full-width bands."""
