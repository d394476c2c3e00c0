"""What the local side and Kaggle share: competitions, images, masks, networks, inference, metrics."""

__version__ = "0.1.0"
