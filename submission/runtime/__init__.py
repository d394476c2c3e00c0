"""What runs on Kaggle, embedded as source in predict.py."""
