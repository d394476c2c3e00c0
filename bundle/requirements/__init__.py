"""A requirements file -> a dataset of wheels, without any competition or ensemble."""
