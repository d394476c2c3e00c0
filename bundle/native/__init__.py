"""mmcv's own operators, compiled for a target: here, in the target's container, or in a kernel on Kaggle."""
