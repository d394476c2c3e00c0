"""Code that the local side and Kaggle share: competitions, images, masks, networks, inference."""

__version__ = "0.1.0"
