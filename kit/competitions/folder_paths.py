"""What stands for an image's id in the paths of a definition."""

ID = "{id}"
