"""What runs on Kaggle: mounts, restore, install, budget, workers, supervisor. Embedded as source in predict.py."""
